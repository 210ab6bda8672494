//! Who may read and change something over the admin API. A change needs the router's own token, or a token of the cluster with the role
//! operator; a change of tokens or of the cluster's routers needs the role admin. At a loopback address whoever reaches the address may look.
//! At another one looking needs a token of any role, but for probes, which do not come here, and `/metrics`, unless the operator protects
//! the metrics too. IDM's own interface and the list of tokens need a token at every address. In development, on a loopback address, every
//! request passes.

use std::net::SocketAddr;

use axum::http::{HeaderMap, Method, StatusCode, header};
use rcs_core::agreed::credentials::Role;

use super::requester::Requester;
use super::tokens;
use crate::access::Mode;
use crate::cluster::ApiTokens;
use crate::token::{TOKEN_VARIABLE, Token};

/// Judges requests by the token that they show.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The router's own.
    token: Option<Token>,
    /// Those of the cluster; none for a router that keeps its state in memory.
    cluster: Option<ApiTokens>,
    /// Whether no request needs a token.
    open: bool,
    /// Whether others than programs of this machine reach the address.
    is_remote: bool,
    metrics: Metrics,
}

/// Whether metrics are for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Metrics {
    /// They need no token.
    #[default]
    Open,
    /// They need what looking at the state needs.
    Protected,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// No token.
    Nothing,
    /// A token of any role, if strangers reach the address and metrics are protected.
    Scraping,
    /// A token of any role, if strangers reach the address.
    Looking,
    /// A token of any role.
    Reading,
    /// A token with the role operator or admin, or the router's own.
    Changing,
    /// A token with the role admin, or the router's own.
    Administering,
}

impl Needs {
    /// What a request for this path needs. A path that nobody thought of needs the most.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        // Whoever uses IDM's interface is used to credentials, for reading too. The actions on this path change nothing.
        let reads = method.is_safe() || (method == Method::POST && path == "/openidm/system");
        let is_of_tokens = path.starts_with("/v1/tokens");
        match reads {
            true if path.starts_with("/openidm/") => Self::Reading,
            // Names of tokens are for operators.
            true if is_of_tokens => Self::Changing,
            true if path == "/metrics" => Self::Scraping,
            true => Self::Looking,
            false if is_of_tokens || path.starts_with("/v1/cluster/routers/") => Self::Administering,
            false => Self::Changing,
        }
    }
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error(
        "this request needs an API token: send Authorization: Bearer TOKEN (rcs-router: --token-file, or {TOKEN_VARIABLE})"
    )]
    NoToken,
    #[error(
        "looking at this router at this address needs an API token of any role: send Authorization: Bearer TOKEN (rcs-router: \
         --token-file, or {TOKEN_VARIABLE}). `rcs-router token create NAME --role viewer` makes one"
    )]
    NoViewer,
    #[error(
        "looking at this router at this address needs an API token, and the router has none: start it with {TOKEN_VARIABLE} or \
         --admin-token-file, or look at {}, which need none",
        free(*.0)
    )]
    NoLooking(Metrics),
    #[error(
        "wrong token: use a token of the router's token file (of its {TOKEN_VARIABLE} if it has no file), or a token of the cluster that is \
         not revoked"
    )]
    WrongToken,
    #[error(
        "token {name:?} has the role viewer, which only reads: use a token with the role operator (admin, for tokens and the routers of \
         the cluster), or the router's own"
    )]
    ReadOnly {
        /// The token's name.
        name: String,
    },
    #[error(
        "token {name:?} has the role operator, and tokens and the routers of the cluster are changed with the role admin: use a token with \
         the role admin, or the router's own"
    )]
    NotAdmin {
        /// The token's name.
        name: String,
    },
    #[error(
        "this router accepts no changes, as it has no API token: start it with {TOKEN_VARIABLE} or --admin-token-file"
    )]
    NoChanges,
}

/// What everybody may look at.
const fn free(metrics: Metrics) -> &'static str {
    match metrics {
        Metrics::Open => "/livez, /readyz and /metrics",
        Metrics::Protected => "/livez and /readyz",
    }
}

impl Denied {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::NoViewer | Self::NoLooking(_) => StatusCode::UNAUTHORIZED,
            Self::WrongToken | Self::ReadOnly { .. } | Self::NotAdmin { .. } | Self::NoChanges => {
                StatusCode::FORBIDDEN
            }
        }
    }
}

impl Gate {
    /// The gate of a router with this token, mode and admin address.
    pub(crate) fn new(token: Option<Token>, mode: Mode, address: SocketAddr) -> Self {
        let is_remote = !address.ip().is_loopback();
        let open = mode == Mode::Development && !is_remote;
        Self { token, cluster: None, open, is_remote, metrics: Metrics::default() }
    }

    /// The same, with metrics for whom they are meant.
    pub(crate) fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// What a request for this path needs at this address: never [`Needs::Scraping`] or [`Needs::Looking`] where they need nothing.
    pub(super) fn needs(&self, method: &Method, path: &str) -> Needs {
        match Needs::of(method, path) {
            Needs::Looking if self.is_remote => Needs::Looking,
            Needs::Scraping if self.is_remote && self.metrics == Metrics::Protected => Needs::Looking,
            Needs::Looking | Needs::Scraping => Needs::Nothing,
            needs => needs,
        }
    }

    /// The same, which knows the tokens of the router's cluster too.
    pub(super) fn with_cluster(self, tokens: Option<ApiTokens>) -> Self {
        Self { cluster: tokens, ..self }
    }

    /// Who sent a request with these headers, if the request may have what it needs.
    pub(super) fn judge(&self, headers: &HeaderMap, needs: Needs) -> Result<Requester, Denied> {
        let can_any_be_right =
            self.token.is_some() || self.cluster.as_ref().is_some_and(|tokens| !tokens.is_empty());
        match shown(headers) {
            Some(shown) if can_any_be_right => {
                let requester = self.known(shown).ok_or(Denied::WrongToken)?;
                match (requester, needs) {
                    (
                        Requester::Token { name, role: Role::Viewer },
                        Needs::Changing | Needs::Administering,
                    ) => Err(Denied::ReadOnly { name }),
                    (Requester::Token { name, role: Role::Operator }, Needs::Administering) => {
                        Err(Denied::NotAdmin { name })
                    }
                    (requester, _) => Ok(requester),
                }
            }
            _ if self.open => Ok(Requester::Nobody),
            None if can_any_be_right && needs == Needs::Looking => Err(Denied::NoViewer),
            None if can_any_be_right => Err(Denied::NoToken),
            _ if needs == Needs::Looking => Err(Denied::NoLooking(self.metrics)),
            _ => Err(Denied::NoChanges),
        }
    }

    fn known(&self, shown: &str) -> Option<Requester> {
        if self.token.as_ref().is_some_and(|token| token.is(shown)) {
            return Some(Requester::Own);
        }
        // A text of another form cannot be right, so it costs no hashing, however long it is.
        let tokens = self.cluster.as_ref().filter(|_| tokens::has_form(shown))?;
        tokens.find(shown).map(|(name, role)| Requester::Token { name, role })
    }

    /// Whether a request shows a token, right or wrong.
    pub(super) fn has_token(headers: &HeaderMap) -> bool {
        shown(headers).is_some()
    }
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
    // Programs that were made for IDM prove themselves with this header.
    bearer.or_else(|| headers.get("x-openidm-password")?.to_str().ok())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_need_the_token_but_in_development_on_loopback() {
        use Denied::{NoChanges, NoToken, WrongToken};
        use Requester::{Nobody, Own};
        let (loopback, any) = ("127.0.0.1:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
        let (dev, live) = (Mode::Development, Mode::Production);
        for (token, mode, address, shown, outcome) in [
            (None, live, loopback, None, Err(NoChanges)),
            (None, live, loopback, Some("Bearer t"), Err(NoChanges)),
            (None, dev, any, None, Err(NoChanges)),
            (None, dev, loopback, None, Ok(Nobody)),
            (Some("t"), live, loopback, None, Err(NoToken)),
            (Some("t"), live, loopback, Some("Basic t"), Err(NoToken)),
            (Some("t"), live, loopback, Some("bearer t"), Ok(Own)),
            (Some("t"), live, any, Some("Bearer x"), Err(WrongToken)),
            (Some("t"), dev, any, None, Err(NoToken)),
            (Some("t"), dev, loopback, None, Ok(Nobody)),
            (Some("t"), dev, loopback, Some("Bearer x"), Err(WrongToken)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(header::AUTHORIZATION, shown.parse().unwrap());
            }
            let gate = Gate::new(token.map(Token::of), mode, address);
            assert_eq!(
                gate.judge(&headers, Needs::Changing),
                outcome,
                "{token:?} {mode:?} {address} {shown:?}"
            );
        }
    }

    #[test]
    fn a_token_of_the_cluster_may_what_its_role_allows() {
        use Needs::{Administering, Changing, Reading};
        let [viewer, operator, admin, gone] = [0; 4].map(|_| tokens::draw().unwrap());
        let tokens = ApiTokens::of(&[
            ("look", Role::Viewer, viewer.expose()),
            ("ops", Role::Operator, operator.expose()),
            ("root", Role::Admin, admin.expose()),
        ]);
        let none = ApiTokens::default();
        let read_only = || Denied::ReadOnly { name: "look".to_owned() };
        let not_admin = Denied::NotAdmin { name: "ops".to_owned() };
        let of = |name: &str, role| Ok(Requester::Token { name: name.to_owned(), role });
        for (own, cluster, mode, shown, needs, outcome) in [
            (None, &tokens, Mode::Production, Some(viewer.expose()), Reading, of("look", Role::Viewer)),
            (None, &tokens, Mode::Production, Some(viewer.expose()), Changing, Err(read_only())),
            (None, &tokens, Mode::Production, Some(viewer.expose()), Administering, Err(read_only())),
            (None, &tokens, Mode::Production, Some(operator.expose()), Administering, Err(not_admin)),
            (None, &tokens, Mode::Production, Some(admin.expose()), Administering, of("root", Role::Admin)),
            (None, &tokens, Mode::Production, Some(admin.expose()), Changing, of("root", Role::Admin)),
            (None, &tokens, Mode::Production, Some(operator.expose()), Changing, of("ops", Role::Operator)),
            (None, &tokens, Mode::Production, Some(gone.expose()), Reading, Err(Denied::WrongToken)),
            (None, &tokens, Mode::Production, None, Changing, Err(Denied::NoToken)),
            (None, &tokens, Mode::Development, Some(gone.expose()), Changing, Err(Denied::WrongToken)),
            (None, &tokens, Mode::Development, None, Changing, Ok(Requester::Nobody)),
            (None, &none, Mode::Production, Some(viewer.expose()), Changing, Err(Denied::NoChanges)),
            (Some("t"), &none, Mode::Production, Some(viewer.expose()), Changing, Err(Denied::WrongToken)),
            (
                Some("t"),
                &tokens,
                Mode::Production,
                Some(operator.expose()),
                Changing,
                of("ops", Role::Operator),
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(header::AUTHORIZATION, format!("Bearer {shown}").parse().unwrap());
            }
            let gate = Gate::new(own.map(Token::of), mode, "127.0.0.1:1".parse().unwrap());
            let gate = gate.with_cluster(Some(cluster.clone()));
            assert_eq!(gate.judge(&headers, needs), outcome, "{own:?} {mode:?} {needs:?}");
        }
    }

    #[test]
    fn whatever_may_change_something_needs_the_most() {
        use Needs::{Administering, Changing, Looking, Reading, Scraping};
        let config = "/openidm/config/provisioner.openicf.connectorinfoprovider";
        for (method, path, needs) in [
            (Method::GET, "/metrics", Scraping),
            (Method::HEAD, "/v1/members", Looking),
            (Method::GET, "/nowhere", Looking),
            (Method::GET, "/v1/tokens", Changing),
            (Method::POST, "/v1/tokens", Administering),
            (Method::DELETE, "/v1/tokens/ci", Administering),
            (Method::POST, "/v1/cluster/routers/4/remove", Administering),
            (Method::POST, "/v1/cluster/backup", Changing),
            (Method::POST, "/v1/apply", Changing),
            (Method::POST, "/v1/export", Changing),
            (Method::PATCH, "/metrics", Changing),
            (Method::GET, config, Reading),
            (Method::PUT, config, Changing),
            (Method::POST, "/openidm/system", Reading),
            (Method::POST, "/openidm/system/", Changing),
            (Method::PUT, "/openidm/system", Changing),
        ] {
            assert_eq!(Needs::of(&method, path), needs, "{method} {path}");
        }
    }

    #[test]
    fn looking_needs_a_token_where_strangers_reach_the_address() {
        use Denied::{NoLooking, NoViewer, WrongToken};
        let (loopback, any) = ("[::1]:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
        let viewer = tokens::draw().unwrap();
        let tokens = ApiTokens::of(&[("look", Role::Viewer, viewer.expose())]);
        let none = ApiTokens::default();
        let (dev, live) = (Mode::Development, Mode::Production);
        let is_viewer = || Some(Ok(Requester::Token { name: "look".to_owned(), role: Role::Viewer }));
        for (cluster, mode, address, path, metrics, shown, outcome) in [
            (&tokens, live, loopback, "/v1/members", Metrics::Protected, None, None),
            (&tokens, live, loopback, "/metrics", Metrics::Protected, None, None),
            (&tokens, live, any, "/v1/members", Metrics::Open, None, Some(Err(NoViewer))),
            (&tokens, live, any, "/v1/members", Metrics::Open, Some(viewer.expose().as_str()), is_viewer()),
            (&tokens, live, any, "/v1/members", Metrics::Open, Some("x"), Some(Err(WrongToken))),
            (&tokens, live, any, "/metrics", Metrics::Open, None, None),
            (&tokens, live, any, "/metrics", Metrics::Protected, None, Some(Err(NoViewer))),
            (&tokens, live, any, "/metrics", Metrics::Protected, Some(viewer.expose()), is_viewer()),
            (&none, live, any, "/v1/members", Metrics::Open, None, Some(Err(NoLooking(Metrics::Open)))),
            (&none, dev, any, "/v1/members", Metrics::Open, None, Some(Err(NoLooking(Metrics::Open)))),
            (
                &none,
                live,
                any,
                "/metrics",
                Metrics::Protected,
                None,
                Some(Err(NoLooking(Metrics::Protected))),
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(header::AUTHORIZATION, format!("Bearer {shown}").parse().unwrap());
            }
            let gate = Gate::new(None, mode, address).with_metrics(metrics);
            let gate = gate.with_cluster(Some(cluster.clone()));
            let needs = gate.needs(&Method::GET, path);
            let judged = (needs != Needs::Nothing).then(|| gate.judge(&headers, needs));
            assert_eq!(judged, outcome, "{mode:?} {address} {path} {metrics:?}");
        }
    }

    #[test]
    fn a_router_without_a_token_names_what_needs_none() {
        for (metrics, is_free) in [(Metrics::Open, true), (Metrics::Protected, false)] {
            let told = Denied::NoLooking(metrics).to_string();
            assert_eq!(told.contains("/metrics"), is_free, "{told}");
            assert!(told.contains("/readyz") && told.contains("at this address"), "{told}");
        }
    }
}
