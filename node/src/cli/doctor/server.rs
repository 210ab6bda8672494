//! Server mode: the key, the certificate, the port.

use rcs_cli::doctor::Finding;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialError, DialTarget, dial};
use rcs_proto::driver::listen;
use rcs_proto::icf::Secret;

use crate::cli::plan::ListenPlan;
use crate::limits::DOCTOR_PORT_WAIT;

pub(super) async fn look(plan: &ListenPlan<'_>) -> Vec<Finding> {
    let key = match plan.listen.key.is_default() {
        true => "is the default, which --dev allows",
        false => "is set",
    };
    let mut findings = vec![Finding::ok("key", key)];
    if let Some(tls) = &plan.tls {
        let (identity, certificate) = (&tls.identity, tls.identity.certificate());
        let text = format!(
            "the certificate {} (entry {}), {}, valid {} to {} (UTC)",
            certificate.subject,
            identity.alias(),
            identity.key(),
            certificate.first_day(),
            certificate.last_day()
        );
        findings.push(Finding::ok("TLS", text));
    }
    findings.push(of_port(plan).await);
    findings
}

/// The port is free, or this server has it already, or somebody else.
async fn of_port(plan: &ListenPlan<'_>) -> Finding {
    let (address, subject) = (plan.address, "port");
    let error = match listen::bind(address) {
        Ok(_) => return Finding::ok(subject, format!("{address} is free: the server can listen there")),
        Err(error) => error,
    };
    if error.kind() != std::io::ErrorKind::AddrInUse {
        let what = format!(
            "cannot listen on {address}: {error}. Choose another connectorserver.port or {}",
            plan.listen.host_key
        );
        return Finding::failed(subject, what);
    }
    let whom = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    // Without TLS, and with a key that fits nowhere: who answers is told apart by the refusal.
    let nobody = Credentials { principal: "doctor".to_owned(), secret: Secret::new(String::new()) };
    let target = DialTarget {
        host: whom,
        port: address.port(),
        path: "/openicf".to_owned(),
        tls: None,
        authorization: DialAuthorization::Basic(nobody),
        connect_timeout: DOCTOR_PORT_WAIT,
    };
    match (dial(&target).await, &plan.tls) {
        (Err(DialError::WrongKey { .. }), None) => Finding::ok(
            subject,
            format!("a connector server listens on {address}, as this one does while it runs"),
        ),
        (Err(DialError::TlsPeer), Some(_)) => Finding::ok(
            subject,
            format!("a server with TLS listens on {address}, as this one does while it runs"),
        ),
        (Err(DialError::TlsPeer), None) => {
            let what = format!(
                "{address} is taken by a server with TLS, and connectorserver.useSSL is not true: restart the server if the file changed, or stop whoever has the port"
            );
            Finding::failed(subject, what)
        }
        (Err(DialError::WrongKey { .. }), Some(_)) => {
            let what = format!(
                "{address} is taken by a connector server without TLS, and connectorserver.useSSL is true: restart the server if the file changed, or stop whoever has the port"
            );
            Finding::failed(subject, what)
        }
        (answer, _) => {
            let what =
                answer.err().map_or_else(|| "it lets anybody in".to_owned(), |error| error.to_string());
            let what = format!(
                "{address} is taken by something that is no connector server ({what}): choose another connectorserver.port, or stop the process that has it"
            );
            Finding::failed(subject, what)
        }
    }
}
