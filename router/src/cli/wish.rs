//! What commands that change members and groups have in common.

use clap::Args;
use rcs_cli::Exit;
use serde_json::Value;

use super::asked::{AskError, Asked, parsed};
use super::client::Method;
use super::output::{Shown, text};

/// How a change is wanted.
#[derive(Debug, Args)]
pub(super) struct Wish {
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Make the change only if the state still has this revision, as export, group list or a dry run showed it.
    #[arg(long, value_name = "N")]
    pub(super) if_revision: Option<u64>,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// Why a change was not made, or a document not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WishError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{path} cannot be read: {reason}")]
    File { path: String, reason: String },
    /// A dry run of a change that would be refused.
    #[error("{0}")]
    WouldRefuse(String),
    /// What `diff` was asked for.
    #[error("{0} differs from what is in force")]
    Differs(String),
}

impl WishError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Ask(error) => error.exit(),
            Self::File { .. } | Self::WouldRefuse(_) => Exit::BadData,
            Self::Differs(_) => Exit::Degraded,
        }
    }
}

impl Wish {
    /// Sends the change; returns what it did, for people or as the API gives it.
    pub(super) fn send(
        &self,
        asked: &Asked,
        method: Method,
        path: &str,
        more: &[(&str, String)],
        body: &[u8],
    ) -> Result<String, WishError> {
        let mut headers = more.to_vec();
        headers.extend(self.if_revision.map(|revision| ("If-Match", format!("\"{revision}\""))));
        headers.push(("Content-Type", "application/json".to_owned()));
        let path = format!("{path}?dry_run={}", self.dry_run);
        let answer = asked.send(method, &path, &headers, body)?;
        let format = self.shown.format;
        let refused = if format.is_for_programs() { None } else { refusal(&parsed(&answer)?) };
        let shown = format.show(answer, |found, _| Ok(show(found)))?;
        match refused {
            None => Ok(shown),
            Some(refused) => {
                rcs_cli::say(shown);
                Err(WishError::WouldRefuse(refused))
            }
        }
    }
}

/// Why a change would be refused.
fn refusal(found: &Value) -> Option<String> {
    found["refused"].as_str().map(str::to_owned)
}

/// Each change on a line, and the revision.
pub(super) fn show(found: &Value) -> String {
    let each = |key: &str| found[key].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for warning in each("warnings").iter().filter_map(Value::as_str) {
        lines.push(format!("Warning: {warning}"));
    }
    for change in each("changes") {
        let head = format!("{} {} {}", text(&change, "what"), text(&change, "name"), text(&change, "change"));
        let details: Vec<&str> =
            change["details"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        lines.push(if details.is_empty() { head } else { format!("{head}: {}", details.join(", ")) });
    }
    if let Some(more) = found["changes_more"].as_u64() {
        lines.push(format!("and {more} more"));
    }
    let revision = text(found, "revision");
    let is_dry_run = found["dry_run"] == true;
    lines.push(match (found["result"].as_str(), is_dry_run) {
        (Some("unchanged"), _) => format!("nothing differs from revision {revision}"),
        (_, true) => format!("revision {revision} is in force; nothing was changed"),
        (_, false) => format!("revision {revision} is in force"),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_lines() {
        let found = json!({
            "revision": 7, "result": "changed", "dry_run": true, "warnings": ["w"],
            "changes": [
                {"change": "added", "what": "member", "name": "n3", "details": []},
                {"change": "changed", "what": "group", "name": "g", "details": ["servers: n1 becomes n1 n3"]},
            ],
        });
        assert_eq!(
            show(&found),
            "Warning: w\nmember n3 added\ngroup g changed: servers: n1 becomes n1 n3\nrevision 7 is in force; nothing was changed"
        );
        let same = json!({"revision": 7, "result": "unchanged", "dry_run": false, "changes": []});
        assert_eq!(show(&same), "nothing differs from revision 7");
    }
}
