//! Shows what a document means, for `rcs-router check`.

use std::fmt::{self, Display, Formatter};

use super::{MemberEntry, Provider, Reading, Severity};
use crate::view::{AdminState, Endpoint, Link, OPENICF_PATH, Transport};

/// A reading as text: what would be routed where, then every finding. Keys are never shown.
pub struct Report<'a>(pub &'a Reading);

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(provider) = &self.0.provider {
            show_provider(f, provider)?;
        }
        for (severity, title) in
            [(Severity::Error, "Errors"), (Severity::Warning, "Warnings"), (Severity::Note, "Notes")]
        {
            let findings: Vec<_> = self.0.of(severity).collect();
            if !findings.is_empty() {
                writeln!(f, "{title} ({})", findings.len())?;
            }
            for finding in findings {
                let at = if finding.path.is_empty() { "the document" } else { &finding.path };
                writeln!(f, "  {at}: {}.", finding.problem.what())?;
                if severity != Severity::Note {
                    writeln!(f, "      {}", finding.problem.fix())?;
                }
            }
        }
        Ok(())
    }
}

fn show_provider(f: &mut Formatter<'_>, provider: &Provider) -> fmt::Result {
    let member = |name: &String| provider.members.iter().find(|m| m.spec.name == *name);
    if !provider.groups.is_empty() {
        writeln!(f, "Groups ({}), reached at {OPENICF_PATH}/NAME", provider.groups.len())?;
    }
    for group in &provider.groups {
        writeln!(f, "  {} ({})", group.spec.name, group.spec.policy)?;
        for (i, entry) in group.spec.members.iter().filter_map(member).enumerate() {
            writeln!(f, "    {}. {}", i + 1, Line(entry))?;
        }
        for name in &group.unresolved {
            writeln!(f, "    -  {name}: not in this document")?;
        }
    }
    let alone = |m: &&MemberEntry| !provider.groups.iter().any(|g| g.spec.members.contains(&m.spec.name));
    let alone: Vec<_> = provider.members.iter().filter(alone).collect();
    if !alone.is_empty() {
        writeln!(f, "Servers without a group ({}), reached at {OPENICF_PATH}/NAME as well", alone.len())?;
    }
    for entry in alone {
        writeln!(f, "  {}", Line(entry))?;
    }
    Ok(())
}

/// A member in one line.
struct Line<'a>(&'a MemberEntry);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let spec = &self.0.spec;
        write!(f, "{}", spec.name)?;
        match &spec.link {
            Link::Dial(endpoint) => {
                let plural = if spec.sockets == 1 { "" } else { "s" };
                write!(f, "  {}  {} socket{plural}", Url(endpoint), spec.sockets)?;
            }
            Link::Accept => write!(f, "  client mode")?,
        }
        match spec.admin {
            AdminState::Enabled => Ok(()),
            AdminState::Disabled => write!(f, "  disabled"),
        }
    }
}

struct Url<'a>(&'a Endpoint);

impl Display for Url<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Endpoint { host, port, path, transport, .. } = self.0;
        let scheme = match transport {
            Transport::Plain => "ws",
            Transport::Tls => "wss",
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}{path}")
        } else {
            write!(f, "{scheme}://{host}:{port}{path}")
        }
    }
}
