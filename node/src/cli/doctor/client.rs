//! Client mode: each URL, step by step.

use std::sync::Arc;

use rcs_cli::doctor::Finding;
use rcs_oauth::dial::Who;
use rcs_proto::driver::keeper::Dials as _;
use rcs_proto::driver::keeper::probe::{self, Step, Steps, Went};

use crate::cli::plan::DialPlan;
use crate::client::NAMES;
use crate::connector::Registry;
use crate::executor::Executor;
use crate::limits::DOCTOR_ASKED_WAIT;
use crate::pool::Pool;
use crate::service::Service;

pub(super) async fn look(plan: DialPlan<'_>, shakes_hands: bool) -> Vec<Finding> {
    let who = plan.proof.start();
    let mut findings = Vec::new();
    let mut has_token = false;
    for peer in &plan.peers {
        let subject = format!("url {}", peer.url);
        let (steps, socket) = probe::walk(peer, &who, &NAMES).await;
        let is_open = socket.is_some();
        if let (Who::Token(_), true, false) = (&who, is_open, has_token) {
            has_token = true;
            findings.push(Finding::ok(
                "token",
                format!("the token endpoint gives access tokens to the client {:?}", who.name()),
            ));
        }
        findings.extend(told(&subject, steps));
        let Some(socket) = socket else { continue };
        if shakes_hands {
            let pool = Pool::new(Executor::new(Registry::builtin(Vec::new())));
            let service = Arc::new(Service::new(pool));
            let steps =
                probe::shake_hands(socket, service, &plan.dial.server_name, &NAMES, DOCTOR_ASKED_WAIT).await;
            findings.extend(told(&subject, steps));
        } else {
            let text = "not tried, because the peer would take the doctor for the server; stop the server, and use --handshake";
            findings.push(Finding::ok(format!("{subject} {}", Step::Handshake.name()), text));
        }
    }
    findings
}

fn told(subject: &str, steps: Steps) -> impl Iterator<Item = Finding> {
    steps.into_iter().map(move |(step, went)| {
        let subject = format!("{subject} {}", step.name());
        match went {
            Went::Well(text) => Finding::ok(subject, text),
            Went::Doubtful(text) => Finding::warning(subject, text),
            Went::Wrong(text) => Finding::failed(subject, text),
        }
    })
}
