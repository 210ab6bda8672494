//! What a doctor found: one line for each thing that was looked at, with what to do; and the exit code for all of them. Each program looks
//! at its own things, and all show what they found in one form.

use serde_json::{Value, json};

use crate::limits::FINDINGS_SHOWN_MAX;
use crate::{Exit, Failure, printable};

/// The line for the end of a program's help.
pub const EXIT_CODES: &str = "Of doctor also: 1 there are warnings, 2 something fails.";

/// How a thing that was looked at is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It works.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
}

/// What was found of one thing: one line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How the thing is.
    pub health: Health,
    /// What was looked at: `provider`, `member NAME`, `url URL: port`...
    pub subject: String,
    /// What was found; for anything but [`Health::Ok`] with what to do. No key is in here.
    pub text: String,
}

impl Finding {
    /// A finding that works.
    pub fn ok(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Health::Ok, subject, text)
    }

    /// A finding that somebody should look at.
    pub fn warning(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Health::Warning, subject, text)
    }

    /// A finding that does not work.
    pub fn failed(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Health::Failed, subject, text)
    }

    fn new(health: Health, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { health, subject: subject.into(), text: text.into() }
    }

    /// The line for people.
    fn line(&self) -> String {
        let word = match self.health {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Failed => "FAILED",
        };
        let text = self.text.replace('\n', " ");
        format!("{word:<8} {}: {}", printable::line(&self.subject), printable::line(&text))
    }
}

/// How much of what works is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Only the number, if there are many findings.
    Short,
    /// Everything.
    Full,
}

/// One line for each finding, and a line with the numbers.
pub fn lines(findings: &[Finding], detail: Detail) -> String {
    let shows_all = detail == Detail::Full || findings.len() <= FINDINGS_SHOWN_MAX;
    let is_shown = |finding: &&Finding| shows_all || finding.health != Health::Ok;
    let mut all: Vec<String> = findings.iter().filter(is_shown).map(Finding::line).collect();
    let count = |health| findings.iter().filter(|finding| finding.health == health).count();
    let (ok, warnings, failed) = (count(Health::Ok), count(Health::Warning), count(Health::Failed));
    all.push(format!("{ok} ok, {warnings} warnings, {failed} failed"));
    all.join("\n")
}

/// The findings for programs.
pub fn value(findings: &[Finding]) -> Value {
    let health = |health| match health {
        Health::Ok => "ok",
        Health::Warning => "warning",
        Health::Failed => "failed",
    };
    let one = |finding: &Finding| json!({ "health": health(finding.health), "subject": finding.subject, "text": finding.text });
    json!({ "findings": findings.iter().map(one).collect::<Vec<_>>() })
}

/// How the command ends that has printed these findings.
///
/// # Errors
/// The worst finding is a warning (exit code 1), or fails (exit code 2).
pub fn outcome(findings: &[Finding]) -> Result<(), Failure> {
    match findings.iter().map(|finding| finding.health).max() {
        None | Some(Health::Ok) => Ok(()),
        Some(Health::Warning) => Err(Exit::Degraded.silently()),
        Some(Health::Failed) => Err(Exit::Down.silently()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_findings_only_those_with_something_to_do_are_shown() {
        let mut findings = vec![Finding::ok("member n", "answers"); FINDINGS_SHOWN_MAX];
        findings.push(Finding::failed("member x\u{1b}[2J", "no\nway"));
        let short = lines(&findings, Detail::Short);
        assert_eq!(short, "FAILED   member x\\u001b[2J: no way\n100 ok, 0 warnings, 1 failed");
        assert_eq!(lines(&findings, Detail::Full).lines().count(), FINDINGS_SHOWN_MAX + 2);
        assert_eq!(value(&findings[..1])["findings"][0]["health"], "ok");
    }

    #[test]
    fn the_worst_finding_is_the_exit_code() {
        let (ok, warning) = (Finding::ok("a", ""), Finding::warning("b", ""));
        assert!(outcome(&[]).is_ok() && outcome(std::slice::from_ref(&ok)).is_ok());
        assert!(outcome(&[ok.clone(), warning.clone()]).is_err());
        assert!(outcome(&[warning, Finding::failed("c", ""), ok]).is_err());
    }
}
