//! The IDMs that the router dials: each URL, step by step.

use std::sync::Arc;

use rcs_cli::doctor::Finding;
use rcs_proto::driver::keeper::probe::Went;

use super::Dialling;
use crate::access::Mode;
use crate::app::tokens_in_clear;
use crate::config::Idms;
use crate::idms;

/// A finding for each step towards each URL. Faults of the files are told elsewhere.
pub(super) async fn walk(
    all: &Idms,
    dialling: Option<&Dialling>,
    mode: Mode,
    shakes_hands: bool,
) -> Vec<Finding> {
    let Ok(found) = all.read() else { return Vec::new() };
    let of_all = dialling.and_then(|dialling| dialling.trust.clone());
    let identity = dialling.and_then(|dialling| dialling.identity.clone());
    let mut findings = Vec::new();
    for idm in &found {
        let probed = idms::probe(
            idm,
            of_all.clone(),
            identity.as_ref().map(Arc::clone),
            tokens_in_clear(mode),
            shakes_hands,
        );
        let probed = match probed.await {
            Ok(probed) => probed,
            Err(why) => {
                findings.push(Finding::failed(format!("idm {}", idm.name), why));
                continue;
            }
        };
        for (url, steps) in probed {
            let arrived = steps.iter().all(|(_, went)| !matches!(went, Went::Wrong(_)));
            for (step, went) in steps {
                let subject = format!("idm {} {url} {}", idm.name, step.name());
                findings.push(match went {
                    Went::Well(text) => Finding::ok(subject, text),
                    Went::Doubtful(text) => Finding::warning(subject, text),
                    Went::Wrong(text) => Finding::failed(subject, text),
                });
            }
            if arrived && !shakes_hands {
                let text = "not tried, because the IDM would take the doctor for the router; stop the router, and use --handshake";
                findings.push(Finding::ok(format!("idm {} {url} handshake", idm.name), text));
            }
        }
    }
    findings
}
