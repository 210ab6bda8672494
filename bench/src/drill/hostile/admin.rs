//! Hostile clients of the admin address: slow ones, and web pages.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::wire::connect;
use super::{Attack, Target};

/// Requests that trickle at a time: as many as the admin address accepts connections.
const SLOW_HEADS: usize = 128;
/// Reports that trickle at a time.
const SLOW_REPORTS: usize = 66;
/// Time between two bytes of a request or report that trickles.
const TRICKLE_EVERY: Duration = Duration::from_secs(2);

/// Sends the head of a request, a byte now and then.
pub(super) fn slow_heads(target: &Target, attack: &Attack) {
    trickle(target, attack, SLOW_HEADS, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x");
}

/// Sends the report of an agent, without a proof, a byte now and then.
pub(super) fn slow_reports(target: &Target, attack: &Attack) {
    let head = b"POST /v1/members/n1/manifest HTTP/1.1\r\nHost: 127.0.0.1\r\nRCS-Agent-Proof: aa\r\n\
                 Content-Type: application/json\r\nContent-Length: 4000000\r\n\r\n";
    trickle(target, attack, SLOW_REPORTS, head, b"{");
}

fn trickle(target: &Target, attack: &Attack, at_a_time: usize, head: &[u8], byte: &[u8]) {
    let mut open: Vec<TcpStream> = Vec::new();
    while attack.goes_on() {
        while open.len() < at_a_time && attack.goes_on() {
            let Ok(mut stream) = connect(target.admin) else { break };
            if stream.write_all(head).is_ok() {
                open.push(stream);
                attack.count();
            }
        }
        open.retain_mut(|stream| stream.write_all(byte).is_ok());
        attack.rest(TRICKLE_EVERY);
    }
}

/// Drains a member, as a page in a browser on the router's machine would.
pub(super) fn foreign_posts(target: &Target, attack: &Attack) {
    let request = "POST /v1/groups/g/members/n1/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://page.example\r\n\
                   Sec-Fetch-Site: cross-site\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n";
    while attack.goes_on() {
        if let Ok(mut stream) = connect(target.admin)
            && stream.write_all(request.as_bytes()).is_ok()
        {
            let _ = stream.read(&mut [0; 512]);
            attack.count();
        }
        attack.rest(Duration::from_millis(500));
    }
}
