//! `rcs-node check`: what `serve` would do.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rcs_cli::Failure;

use super::plan::{ListenPlan, Plan};
use super::{CheckArgs, load};
use crate::config::{AtTokenEnd, Dial, Listen, Mode, NodeConfig, SecretOf, Transport};
use crate::tls;

pub(super) fn run(arguments: &CheckArgs) -> Result<(), Failure> {
    let (config, mut faults) = load(&arguments.properties, &arguments.settings.overrides)?;
    let mut plan = None;
    if let Some(config) = &config {
        rcs_cli::say(describe(&arguments.properties, config).trim_end());
        plan = Plan::of(config, &arguments.settings, &mut faults);
    }
    if let Some(failure) = faults.into_failure() {
        return Err(failure);
    }
    if let Some(Plan::Listen(plan)) = &plan {
        show_certificate(plan);
    }
    rcs_cli::say("ok");
    Ok(())
}

fn show_certificate(plan: &ListenPlan<'_>) {
    let Some(tls) = &plan.tls else { return };
    for warning in plan.tls_warnings() {
        rcs_cli::say(format_args!("notice           {warning}"));
    }
    let (identity, certificate) = (&tls.identity, tls.identity.certificate());
    rcs_cli::say(format_args!("certificate      {} (entry {})", certificate.subject, identity.alias()));
    let (first, last) = (certificate.first_day(), certificate.last_day());
    rcs_cli::say(format_args!("                 {}, valid {first} to {last} (UTC)", identity.key()));
    rcs_cli::say(format_args!("                 callers must trust {}", identity.trust()));
}

fn describe(path: &Path, config: &NodeConfig) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        writeln!(text, "{name:16} {value}").expect("a String takes any text");
    };
    for notice in &config.notices {
        line("notice", format!("{}: {notice}", path.display()));
    }
    match &config.mode {
        Mode::Server(listen) => describe_listen(listen, config, &mut line),
        Mode::Client(dial) => describe_dial(dial, config, &mut line),
    }
    line("ping", config.ping_interval.map_or("off".to_owned(), |time| format!("every {} s", time.as_secs())));
    for (name, folder) in [("bundleDir", &config.bundle_dir), ("libDir", &config.lib_dir)] {
        let state = if folder.is_dir() { "" } else { " (does not exist)" };
        line(
            name,
            format!(
                "{}{state}; its files are reported by the agent, and no Java bundle is loaded",
                folder.display()
            ),
        );
    }
    text
}

fn describe_listen(listen: &Listen, config: &NodeConfig, line: &mut impl FnMut(&str, String)) {
    line("mode", "server: listens for callers".to_owned());
    let port = listen.port;
    let host = listen.host.to_string();
    let named = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let address = listen.host.resolve(port).map(|address| address.to_string());
    line(
        "listen",
        match address {
            Ok(address) if address == named => address,
            Ok(address) => format!("{named}, which is {address}"),
            Err(_) => named,
        },
    );
    let key = match &listen.key {
        key if key.is_default() => "the default key, changeit",
        key if key.is_nobodys() => "not usable",
        _ => "set",
    };
    line("key", key.to_owned());
    let transport = match (listen.transport, &config.key_store) {
        (Transport::Tls, Some(store)) => format!("TLS with {}", store.path.display()),
        _ => "plain; useSSL=true turns TLS on".to_owned(),
    };
    line("transport", transport);
    if let Some(store) = &config.trust_store {
        let found = match tls::trusted(store) {
            Ok(1) => "1 certificate; ".to_owned(),
            Ok(count) => format!("{count} certificates; "),
            Err(why) => {
                line(
                    "notice",
                    format!("{why} (this node does not use the store, a Java server would not start)"),
                );
                String::new()
            }
        };
        line("trust store", format!("{found}not used in server mode: callers authenticate with the key"));
    }
}

fn describe_dial(dial: &Dial, config: &NodeConfig, line: &mut impl FnMut(&str, String)) {
    line("mode", "client: dials its callers".to_owned());
    line("name", dial.server_name.clone());
    if let Some(id) = &dial.host_id {
        line("host id", id.clone());
    }
    if let Some(principal) = &config.principal {
        line("principal", principal.clone());
    }
    for url in &dial.urls {
        line("url", url.to_string());
    }
    if let Some(proxy) = &dial.proxy {
        let user = proxy.principal.as_ref().map_or_else(String::new, |user| format!(" as {user}"));
        line("proxy", format!("{}:{}{user}", proxy.host, proxy.port));
    }
    if let Some(token) = &dial.token {
        line("token endpoint", token.endpoint.to_string());
        line("token client", token.client_id.clone());
        line("token scope", token.scope.clone().unwrap_or_else(|| "none: the endpoint chooses".to_owned()));
        let secret = match &token.secret {
            SecretOf::Value(_) => "in this file".to_owned(),
            SecretOf::File(path) => format!("in {}, read for each token", path.display()),
        };
        line("token secret", secret);
        let at_end = match token.at_end {
            AtTokenEnd::Keep => "connections are kept",
            AtTokenEnd::Replace => "connections are replaced before it",
        };
        line("token end", at_end.to_owned());
    }
    let rhythm = &dial.rhythm;
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    line("connections", format!("{} to each URL, at most {}", rhythm.sockets, rhythm.max_sockets));
    line(
        "replaced",
        rhythm.connection_ttl.map_or("never".to_owned(), |ttl| format!("after {}", seconds(ttl))),
    );
    line("dialled", format!("{} apart", seconds(rhythm.new_connections_interval)));
    line("dialled again", format!("at once, then at least every {}", seconds(rhythm.housekeeping_interval)));
    line("session check", format!("every {}", seconds(dial.group_check_interval)));
}
