//! What happens to tokens while time goes by: keys are fetched again, and issuers are asked about the tokens of open connections.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::manifest::Shown;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Tag;
use super::claims::{End, Subject};
use super::fault::TokenFault;
use super::introspection::Introspection;
use super::issuer::{AfterExpiry, Issuer, Keys, Proof, Signatures};
use super::leases::{Held, LeaseId, Leases};
use crate::access::table::Table;
use crate::clock::{rfc3339, wall};
use crate::limits::{RECHECKS_MAX, TOKEN_UPKEEP_EVERY};

/// Connections that are to be closed for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revoked {
    /// Their leases.
    pub(crate) leases: Vec<LeaseId>,
    /// A sentence for the log.
    pub(crate) reason: String,
}

/// Keeps watch for ever. `close` is called with the connections that are to be closed.
pub(super) async fn run<F: Future<Output = ()>>(
    mut table: watch::Receiver<Arc<Table>>,
    leases: Arc<Leases>,
    mut close: impl FnMut(Vec<Revoked>) -> F,
) {
    let mut ticks = interval(TOKEN_UPKEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Questions that are under way.
    let mut asking: JoinSet<(Arc<Issuer>, Arc<Held>, Option<TokenFault>)> = JoinSet::new();
    let mut due = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let table = Arc::clone(&table.borrow_and_update());
                for issuer in table.issuers().all() {
                    match &issuer.proof {
                        Proof::Introspection(endpoint) => endpoint.try_again(),
                        Proof::Signature(Signatures { keys: Keys::Fetched(keys), .. }) => keys.refresh(),
                        Proof::Signature(Signatures { keys: Keys::Fixed(_), .. }) => {}
                    }
                }
                let expired = expired(&table, &leases);
                if !expired.is_empty() {
                    close(expired).await;
                }
                if asking.is_empty() && due.is_empty() {
                    due = to_ask(&table, &leases);
                }
            }
            Some(asked) = asking.join_next() => {
                // A question that panicked is asked again in the next round.
                if let Ok((issuer, held, Some(fault))) = asked
                    && let Some(ended) = revoked(&leases, &issuer, &held, &fault)
                {
                    close(vec![ended]).await;
                }
            }
            // A table that is gone is never used again.
            () = ready(()), if asking.len() < RECHECKS_MAX && !due.is_empty() => {
                if let Some((issuer, held)) = due.pop() {
                    asking.spawn(ask(issuer, held, Arc::clone(&leases)));
                }
            }
        }
    }
}

/// The connections whose token has expired, and whose issuer's entry says that they are closed then.
pub(super) fn expired(table: &Table, leases: &Leases) -> Vec<Revoked> {
    let now = wall();
    let mut ended = BTreeMap::<String, Vec<LeaseId>>::new();
    for held in leases.open() {
        let Some(until) = held.until.filter(|until| *until <= now) else { continue };
        let Some(issuer) = table.issuers().named(&held.issuer) else { continue };
        if issuer.after_expiry() == AfterExpiry::Close && held.end() {
            let reason = format!(
                "the token of {} expired at {}, and after_expiry of [issuer.{}] is close",
                Shown::new(&held.name),
                rfc3339(until),
                held.issuer
            );
            ended.entry(reason).or_default().push(held.id);
        }
    }
    ended.into_iter().map(|(reason, leases)| Revoked { leases, reason }).collect()
}

/// The tokens that their issuer is to be asked about now: each once, with one of its connections. An issuer says of every expired token that
/// the token is not active, so tokens are asked about while they are fresh.
pub(super) fn to_ask(table: &Table, leases: &Leases) -> Vec<(Arc<Issuer>, Arc<Held>)> {
    let (now, mut due) = (wall(), BTreeMap::<Tag, (Arc<Issuer>, Arc<Held>)>::new());
    for held in leases.open() {
        let Some(issuer) = table.issuers().named(&held.issuer) else { continue };
        let Proof::Introspection(endpoint) = &issuer.proof else { continue };
        // An entry that leads to another server now: that server must not see the token, and does not know the token.
        let is_same = held.endpoint == issuer.endpoint_id();
        if is_same && held.is_fresh(now) && held.due(endpoint.recheck()) <= Instant::now() {
            due.insert(held.tag, (Arc::clone(issuer), held));
        }
    }
    let is_down = |(issuer, _): &(Arc<Issuer>, _)| issuer.state().up == Some(false);
    let oldest = |(_, held): &(_, Arc<Held>)| held.due(Duration::ZERO);
    let (down, mut asked): (Vec<_>, Vec<_>) = due.into_values().partition(is_down);
    // One question is enough to learn whether an endpoint answers again.
    asked.extend(down.into_iter().min_by_key(oldest));
    asked
}

pub(super) async fn ask(
    issuer: Arc<Issuer>,
    held: Arc<Held>,
    leases: Arc<Leases>,
) -> (Arc<Issuer>, Arc<Held>, Option<TokenFault>) {
    let asked = Instant::now();
    let told = match &issuer.proof {
        Proof::Introspection(endpoint) => fault(&issuer, endpoint, &held).await,
        Proof::Signature(_) => Ok(None),
    };
    let is_same = |other: &&Arc<Held>| other.tag == held.tag && other.endpoint == held.endpoint;
    for same in leases.open().iter().filter(is_same) {
        same.was_asked(asked, told.is_ok());
    }
    (issuer, held, told.unwrap_or_default())
}

/// What is wrong now with a token that was good.
///
/// # Errors
/// The issuer has said nothing of the token.
async fn fault(
    issuer: &Issuer,
    endpoint: &Introspection,
    held: &Held,
) -> Result<Option<TokenFault>, TokenFault> {
    let told = endpoint.ask_again(held.tag, &held.token).await?;
    let Some(claims) = told.claims else { return Ok(Some(TokenFault::Inactive)) };
    Ok(match claims.check(issuer.expected(), End::Optional, wall()) {
        Ok(Subject { name, .. }) if name == held.name => None,
        Ok(_) => Some(TokenFault::Inactive),
        // The token expired while the issuer was asked.
        Err(TokenFault::Expired(_)) => None,
        Err(fault) => Some(fault),
    })
}

/// The connections of a token that is revoked. Connections of the same name whose token has expired go with it: nothing proves them any more,
/// except a token of the name that is still good.
fn revoked(leases: &Leases, issuer: &Issuer, held: &Held, fault: &TokenFault) -> Option<Revoked> {
    let now = wall();
    // The token may have expired while the issuer was asked.
    if !held.is_fresh(now) {
        return None;
    }
    let why = fault.refusal(Some(issuer.name())).sentence;
    let reason = format!("the token of {} is revoked: {why}", Shown::new(&held.name));
    let open = leases.open();
    let of_name = |other: &&Arc<Held>| {
        other.name == held.name && other.issuer == held.issuer && other.endpoint == held.endpoint
    };
    let has_good = open.iter().filter(of_name).any(|other| other.tag != held.tag && other.is_fresh(now));
    let goes = |other: &&Arc<Held>| other.tag == held.tag || !has_good && !other.is_fresh(now);
    let gone = open.iter().filter(of_name).filter(goes).filter(|other| other.end());
    let leases: Vec<LeaseId> = gone.map(|other| other.id).collect();
    (!leases.is_empty()).then_some(Revoked { leases, reason })
}
