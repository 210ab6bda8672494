//! Who dials: how a process proves to its peers who it is.

use tokio::time::Instant;

use super::fault::{Fault, Names};
use crate::driver::WebSocket;
use crate::driver::accept::Credentials;
use crate::driver::dial::{DialAuthorization, DialExtras, DialTarget, DialTls, dial_with};
use crate::driver::limits::DIAL_TIMEOUT;
use crate::driver::url::WsUrl;

/// One address to dial.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address as the file says it.
    pub url: WsUrl,
    /// How TLS is spoken, if it is.
    pub tls: Option<DialTls>,
    /// The proxy, and what else goes with the request.
    pub extras: DialExtras,
}

impl Peer {
    /// What is dialled, by somebody who proves himself like this.
    pub fn target(&self, authorization: DialAuthorization) -> DialTarget {
        DialTarget {
            host: self.url.host.clone(),
            port: self.url.port,
            path: self.url.path.clone(),
            tls: self.tls.clone(),
            authorization,
            connect_timeout: DIAL_TIMEOUT,
        }
    }
}

/// A WebSocket, and the moment at which another one has to replace it, whatever its age.
pub struct Opened {
    /// The WebSocket, before any handshake of OpenICF.
    pub socket: WebSocket,
    /// `None` if only the age counts.
    pub replaced_at: Option<Instant>,
}

/// Somebody who dials, with a proof of who he is. Copies share what they know.
pub trait Dials: Clone + Send + Sync + 'static {
    /// The name that a peer knows, for the log.
    fn name(&self) -> &str;

    /// Dials a peer. `names` are the settings that a fault names.
    ///
    /// # Errors
    /// [`Fault`]
    fn dial(&self, peer: &Peer, names: &'static Names) -> impl Future<Output = Result<Opened, Fault>> + Send;
}

/// Basic authentication (P30, P31).
impl Dials for Credentials {
    fn name(&self) -> &str {
        &self.principal
    }

    async fn dial(&self, peer: &Peer, _: &'static Names) -> Result<Opened, Fault> {
        let target = peer.target(DialAuthorization::Basic(self.clone()));
        let (socket, _) = dial_with(&target, &peer.extras).await.map_err(Fault::Dial)?;
        Ok(Opened { socket, replaced_at: None })
    }
}
