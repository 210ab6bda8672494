//! The task behind one event stream.

use axum::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::batch::{Gap, Reader};
use super::seats::Seat;
use crate::limits::EVENT_HEARTBEAT;

/// A comment that clients pass over.
const HEARTBEAT: &str = ": heartbeat\n\n";

/// One stream.
pub(super) struct Stream {
    pub(super) reader: Reader,
    /// The connection, which takes the next part when the client has read the one before.
    pub(super) out: mpsc::Sender<Bytes>,
    /// Whether the router is ending; is changed whenever there may be something new.
    pub(super) news: watch::Receiver<bool>,
    /// Whether the stream goes on after what is remembered.
    pub(super) follow: bool,
    pub(super) _seat: Seat,
}

/// Runs until the client leaves, the router ends, or all that is remembered was sent and nothing more is wanted.
pub(super) async fn run(mut stream: Stream, gaps: Vec<Gap>) {
    let mut first = stream.reader.start();
    gaps.into_iter().for_each(|gap| first.push_str(&stream.reader.gap(gap)));
    let mut part = first;
    loop {
        if stream.out.send(Bytes::from(part)).await.is_err() {
            return;
        }
        part = match stream.next().await {
            Some(next) => next,
            None => return,
        };
    }
}

impl Stream {
    /// The next part; none if the stream is over.
    async fn next(&mut self) -> Option<String> {
        let heartbeat = Instant::now() + EVENT_HEARTBEAT;
        loop {
            let is_ending = *self.news.borrow_and_update();
            let events = self.reader.next();
            if !events.is_empty() {
                return Some(events);
            }
            if !self.follow {
                return None;
            }
            if is_ending {
                self.follow = false;
                return Some(self.reader.end());
            }
            tokio::select! {
                () = self.out.closed() => return None,
                changed = self.news.changed() => changed.ok()?,
                () = sleep_until(heartbeat) => return Some(HEARTBEAT.to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::super::seats::Seats;
    use super::*;
    use crate::sightings::Sightings;

    const EVER: std::time::Duration = std::time::Duration::from_secs(3_600);

    fn begin(sightings: &Sightings, follow: bool) -> mpsc::Receiver<Bytes> {
        let (out, parts) = mpsc::channel(1);
        let mut reader = Reader::new(None, sightings.clone());
        let gaps = if follow { reader.begin_now() } else { reader.begin_at_first() };
        let seat = Seats::default().take([127, 0, 0, 1].into()).unwrap();
        let news = sightings.news();
        tokio::spawn(run(Stream { reader, out, news, follow, _seat: seat }, gaps));
        parts
    }

    async fn part(parts: &mut mpsc::Receiver<Bytes>) -> Option<String> {
        let part = timeout(EVER, parts.recv()).await.expect("a stream is never silent for an hour")?;
        Some(String::from_utf8(part.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_has_a_heartbeat_and_ends_at_once_with_the_router() {
        let sightings = Sightings::new();
        let mut parts = begin(&sightings, true);
        assert!(part(&mut parts).await.unwrap().contains("event: start\n"));
        for _ in 0..3 {
            let before = Instant::now();
            assert_eq!(part(&mut parts).await.as_deref(), Some(HEARTBEAT));
            assert_eq!(before.elapsed(), EVENT_HEARTBEAT);
        }
        advance(EVENT_HEARTBEAT / 3).await;
        sightings.add_lead(Some(2), "follower", 7);
        let (before, seen) = (Instant::now(), part(&mut parts).await.unwrap());
        assert!(seen.contains("event: leader\n") && seen.contains("-1\n"), "{seen}");
        sightings.end();
        assert!(part(&mut parts).await.unwrap().contains("event: end\n"));
        assert_eq!(part(&mut parts).await, None);
        assert_eq!(before.elapsed(), std::time::Duration::ZERO);
    }

    /// A reader that takes nothing has one part waiting for it, however much happens; later it learns that it missed something.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_too_slowly_is_told_what_it_missed() {
        let sightings = Sightings::new();
        let mut parts = begin(&sightings, true);
        for _ in 0..3 * crate::limits::SIGHTINGS_KEPT {
            sightings.add_lead(None, "candidate", 1);
            tokio::task::yield_now().await;
        }
        assert!(parts.len() <= 1, "{} parts wait", parts.len());
        let (mut text, mut heartbeats) = (String::new(), 0);
        while heartbeats == 0 {
            let next = part(&mut parts).await.unwrap();
            heartbeats += usize::from(next == HEARTBEAT);
            text.push_str(&next);
        }
        assert_eq!(text.matches("event: gap\n").count(), 1);
        let ids: Vec<u64> = text
            .lines()
            .filter_map(|line| line.strip_prefix("id: ")?.rsplit('-').next()?.parse().ok())
            .collect();
        assert!(ids.is_sorted() && ids.last() == Some(&sightings.last()), "{ids:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_sent_and_the_stream_ends() {
        let sightings = Sightings::new();
        sightings.add_lead(Some(1), "leader", 1);
        let mut parts = begin(&sightings, false);
        let mut text = String::new();
        while let Some(next) = part(&mut parts).await {
            text.push_str(&next);
        }
        let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(kinds, ["start", "leader"]);
    }
}
