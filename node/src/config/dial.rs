//! Client mode: whom to dial, and how sockets are kept.

use std::time::Duration;

use rcs_oauth::https::{Plain, Url};
use rcs_proto::driver::url::WsUrl;
use rcs_proto::limits::CHECK_EVERY;

use super::read::Reader;
use super::{AtTokenEnd, Dial, HttpProxy, SecretOf, TokenClient};
use crate::client::Rhythm;
use crate::limits::{
    DIALLED_SOCKETS, DIALLED_SOCKETS_MAX, HOST_ID_BYTES, HOUSEKEEPING_INTERVAL, NEW_CONNECTIONS_INTERVAL,
    URLS_MAX,
};

const DEFAULT_PROXY_PORT: u16 = 8080;

impl Reader<'_> {
    /// `None` only together with a problem.
    pub(super) fn dial(&mut self) -> Option<Dial> {
        let (urls, server_name) = (self.urls(), self.server_name());
        let (urls, server_name) = (urls?, server_name?);
        let token = self.token();
        let wants_token = self.settings.get("tokenEndpoint").is_some();
        if !wants_token {
            self.note_principal(&server_name);
        }
        self.note_unused_stores(&urls, token.as_ref());
        Some(Dial {
            host_id: self.host_id(),
            proxy: self.proxy(),
            rhythm: self.rhythm(urls.len()),
            group_check_interval: self.interval("groupCheckInterval", CHECK_EVERY),
            token,
            wants_token,
            urls,
            server_name,
        })
    }

    /// Several URLs stand with blanks between them, or commas, as on the Java server's command line (P02, P40).
    fn urls(&mut self) -> Option<Vec<WsUrl>> {
        let setting = self.settings.get("url")?;
        let texts: Vec<&str> =
            setting.trimmed().split([' ', ',', '\t']).filter(|url| !url.is_empty()).collect();
        let is_websocket = |url: &&str| url.starts_with("ws://") || url.starts_with("wss://");
        let urls: Option<Vec<WsUrl>> =
            texts.iter().map(|url| url.parse().ok().filter(|_| is_websocket(url))).collect();
        let Some(urls) = urls.filter(|urls| !urls.is_empty()) else {
            self.problems.push(setting.problem("must hold ws:// or wss:// URLs, with blanks between them"));
            return None;
        };
        if urls.len() > URLS_MAX {
            self.problems.push(setting.problem(format!("must not hold more than {URLS_MAX} URLs")));
            return None;
        }
        if texts.iter().any(|url| url.splitn(4, '/').count() < 4) {
            let notice = setting.notice("has a URL without a path; /openicf is dialled");
            self.settings.notice(notice);
        }
        let twice =
            texts.iter().enumerate().any(|(at, text)| texts.iter().take(at).any(|before| before == text));
        if twice {
            let notice = setting.notice(
                "has a URL twice; each IDM process needs one of its own, such as /openicf/0 and /openicf/1",
            );
            self.settings.notice(notice);
        }
        Some(urls)
    }

    fn server_name(&mut self) -> Option<String> {
        let Some(setting) = self.settings.get("connectorServerName") else {
            self.missing("connectorServerName", "is needed with url: add the name of this server in the IDM");
            return None;
        };
        let name = setting.trimmed();
        // The sample file itself breaks the rule, so it is a notice, and the name stays (P01, P39, W01).
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            let notice = setting
                .notice("should have lower-case letters and digits only; an IDM may not find another name");
            self.settings.notice(notice);
        }
        Some(name.to_owned())
    }

    /// The principal names this server to a router, so another name is rarely meant.
    fn note_principal(&mut self, server_name: &str) {
        if let Some(setting) = self.settings.get("principal")
            && setting.trimmed() != server_name
        {
            let notice = setting.notice(
                "differs from connectorServerName; a router takes the principal as the name of this server. Remove \
                 connectorserver.principal, unless the peer expects this one",
            );
            self.settings.notice(notice);
        }
    }

    fn note_unused_stores(&mut self, urls: &[WsUrl], token: Option<&TokenClient>) {
        if urls.iter().any(|url| url.tls) || token.is_some_and(|token| token.endpoint.is_tls()) {
            return;
        }
        for name in ["trustStoreFile", "keyStoreFile"] {
            if let Some(setting) = self.settings.get(name) {
                let notice = setting.notice("has no effect: no URL begins with wss://");
                self.settings.notice(notice);
            }
        }
    }

    fn host_id(&mut self) -> Option<String> {
        let setting = self.settings.get("hostId")?;
        let id = setting.trimmed();
        if id.len() > HOST_ID_BYTES || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.problems.push(setting.problem(format!(
                "must be at most {HOST_ID_BYTES} letters, digits and signs of ASCII, without blanks"
            )));
        }
        Some(id.to_owned())
    }

    fn rhythm(&mut self, urls: usize) -> Rhythm {
        let sockets = self.number("webSocketConnections", |count: u16| count).unwrap_or(DIALLED_SOCKETS);
        let max_sockets = self.number("maxWebSocketConnections", |count: u16| count);
        let rhythm = Rhythm {
            sockets: usize::from(sockets),
            max_sockets: max_sockets.map_or(usize::from(sockets) + 1, usize::from),
            housekeeping_interval: self.interval("housekeepingInterval", HOUSEKEEPING_INTERVAL),
            connection_ttl: self.number("connectionTtl", Duration::from_secs).filter(|ttl| !ttl.is_zero()),
            new_connections_interval: self
                .number("newConnectionsInterval", Duration::from_secs)
                .unwrap_or(NEW_CONNECTIONS_INTERVAL),
        };
        if let Some(setting) = self.settings.get("webSocketConnections") {
            if rhythm.sockets == 0 {
                self.problems
                    .push(setting.problem("must be 1 at least: without a connection no call can come"));
            } else if rhythm.sockets.saturating_mul(urls) > DIALLED_SOCKETS_MAX {
                self.problems.push(setting.problem(format!(
                    "is too much for {urls} URLs: a node opens at most {DIALLED_SOCKETS_MAX} connections"
                )));
            }
        }
        if let Some(setting) = self.settings.get("maxWebSocketConnections") {
            if rhythm.max_sockets < rhythm.sockets {
                self.problems.push(
                    setting.problem(format!("must be {} at least, as webSocketConnections", rhythm.sockets)),
                );
            } else if rhythm.max_sockets == rhythm.sockets && rhythm.connection_ttl.is_some() {
                let notice = setting.notice(
                    "has no room for a further connection, so each connection is closed before another replaces it; allow one more than \
                     webSocketConnections",
                );
                self.settings.notice(notice);
            }
        }
        let opened_in = rhythm.new_connections_interval.saturating_mul(u32::from(sockets));
        if let (Some(setting), Some(ttl)) = (self.settings.get("connectionTtl"), rhythm.connection_ttl)
            && opened_in > ttl
        {
            let notice = setting.notice(
                "is shorter than newConnectionsInterval times webSocketConnections, so connections get older than this; make one of them \
                 smaller",
            );
            self.settings.notice(notice);
        }
        rhythm
    }

    /// An interval of which 0 means the default, as in the open Java server.
    fn interval(&mut self, name: &'static str, default: Duration) -> Duration {
        self.number(name, Duration::from_secs).filter(|time| !time.is_zero()).unwrap_or(default)
    }

    fn proxy(&mut self) -> Option<HttpProxy> {
        let Some(host) = self.text("proxyHost") else {
            self.note_alone(&["proxyPort", "proxyPrincipal", "proxyPassword"], "proxyHost");
            return None;
        };
        let principal = self.text("proxyPrincipal");
        if principal.is_none() {
            self.note_alone(&["proxyPassword"], "proxyPrincipal");
        }
        Some(HttpProxy {
            host,
            port: self.number("proxyPort", |port: u16| port).unwrap_or(DEFAULT_PROXY_PORT),
            principal,
            password: self.secret("proxyPassword"),
        })
    }

    /// `None` without `tokenEndpoint`, or together with a problem.
    fn token(&mut self) -> Option<TokenClient> {
        let Some(setting) = self.settings.get("tokenEndpoint") else {
            let others = ["scope", "clientId", "clientSecret", "clientSecretFile", "tokenEnd"];
            self.note_alone(&others, "tokenEndpoint");
            return None;
        };
        // Whether http is accepted depends on the command line.
        self.note_unused_user("with connectorserver.tokenEndpoint: the peer is shown an access token");
        let endpoint = Url::parse(setting.trimmed(), Plain::Anywhere)
            .map_err(|error| self.problems.push(setting.problem(format!("is not usable: {error}"))));
        let client_id = self.text("clientId");
        if client_id.is_none() {
            self.missing("clientId", "is needed with tokenEndpoint: add the id of the OAuth2 client");
        }
        let (secret, at_end) = (self.client_secret(), self.at_token_end());
        Some(TokenClient {
            endpoint: endpoint.ok()?,
            scope: self.text("scope"),
            client_id: client_id?,
            secret: secret?,
            at_end,
        })
    }

    fn client_secret(&mut self) -> Option<SecretOf> {
        match (self.secret("clientSecret"), self.settings.get("clientSecretFile")) {
            (Some(_), Some(file)) => {
                let problem = file.problem("and connectorserver.clientSecret are both set; keep one of them");
                self.problems.push(problem);
                None
            }
            (Some(secret), None) => Some(SecretOf::Value(secret)),
            (None, Some(_)) => Some(SecretOf::File(self.path("clientSecretFile", ""))),
            (None, None) => {
                self.missing(
                    "clientSecretFile",
                    "is needed with tokenEndpoint: name a file with the secret of the OAuth2 client on its first line, or set \
                     connectorserver.clientSecret",
                );
                None
            }
        }
    }

    fn at_token_end(&mut self) -> AtTokenEnd {
        let Some(setting) = self.settings.get("tokenEnd") else { return AtTokenEnd::Keep };
        match setting.trimmed() {
            "keep" => {}
            "replace" => return AtTokenEnd::Replace,
            _ => self.problems.push(setting.problem("must be keep or replace")),
        }
        AtTokenEnd::Keep
    }

    /// Names the properties that mean nothing without another one (P38).
    pub(super) fn note_alone(&mut self, names: &[&'static str], without: &str) {
        for name in names {
            if let Some(setting) = self.settings.get(name) {
                let notice = setting.notice(&format!("has no effect without connectorserver.{without}"));
                self.settings.notice(notice);
            }
        }
    }
}
