//! The task behind one event stream.

use axum::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, sleep_until};

use super::batch::{Gap, Reader};
use super::seats::Seat;

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
    /// Whether the client was told of the end.
    pub(super) has_ended: bool,
    /// Time without an event after which a comment is sent.
    pub(super) heartbeat: Duration,
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
        if self.has_ended {
            return None;
        }
        let heartbeat = Instant::now() + self.heartbeat;
        loop {
            let is_ending = *self.news.borrow_and_update();
            let events = self.reader.next();
            if !events.is_empty() {
                return Some(events);
            }
            if is_ending || !self.follow {
                self.has_ended = true;
                return Some(self.reader.end(self.follow));
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
    use tokio::time::timeout;

    use super::super::seats::Seats;
    use super::*;
    use crate::limits::{EVENT_HEARTBEAT, EVENTS_TOGETHER_MAX, SIGHTINGS_KEPT};
    use crate::sightings::Sightings;

    /// A busy machine may take long for a few milliseconds of work.
    const PATIENCE: Duration = Duration::from_secs(120);

    fn begin(sightings: &Sightings, follow: bool, heartbeat: Duration) -> mpsc::Receiver<Bytes> {
        let (out, parts) = mpsc::channel(1);
        let mut reader = Reader::new(None, sightings.clone(), None);
        let gaps = if follow { reader.begin_now() } else { reader.begin_at_first() }.unwrap();
        let seat = Seats::default().take([127, 0, 0, 1].into()).unwrap();
        let news = sightings.news();
        tokio::spawn(run(
            Stream { reader, out, news, follow, has_ended: false, heartbeat, _seat: seat },
            gaps,
        ));
        parts
    }

    async fn part(parts: &mut mpsc::Receiver<Bytes>) -> Option<String> {
        let part = timeout(PATIENCE, parts.recv()).await.expect("a part comes")?;
        Some(String::from_utf8(part.to_vec()).unwrap())
    }

    async fn rest(parts: &mut mpsc::Receiver<Bytes>) -> String {
        let mut text = String::new();
        while let Some(next) = part(parts).await {
            text.push_str(&next);
        }
        text
    }

    #[tokio::test]
    async fn a_quiet_stream_has_heartbeats_and_news_and_the_end_come_before_the_next_one() {
        let sightings = Sightings::new();
        let mut quiet = begin(&sightings, true, Duration::from_millis(1));
        assert!(part(&mut quiet).await.unwrap().contains("event: start\n"));
        for _ in 0..3 {
            assert_eq!(part(&mut quiet).await.as_deref(), Some(HEARTBEAT));
        }
        drop(quiet);
        // The next heartbeat of this stream would come an hour later.
        let mut parts = begin(&sightings, true, PATIENCE * 30);
        part(&mut parts).await.unwrap();
        sightings.add_lead(Some(2), "follower", 7);
        let seen = part(&mut parts).await.unwrap();
        assert!(seen.contains("event: leader\n") && seen.contains("-1\n"), "{seen}");
        sightings.end();
        assert!(part(&mut parts).await.unwrap().contains("event: end\n"));
        assert_eq!(part(&mut parts).await, None);
    }

    /// One part waits for a client that reads nothing, however much happens. Later the client learns that it missed something.
    #[tokio::test]
    async fn a_client_that_reads_too_slowly_is_told_what_it_missed() {
        let sightings = Sightings::new();
        let mut parts = begin(&sightings, true, EVENT_HEARTBEAT);
        for _ in 0..3 * SIGHTINGS_KEPT {
            sightings.add_lead(None, "candidate", 1);
            tokio::task::yield_now().await;
        }
        assert!(parts.len() <= 1, "{} parts wait", parts.len());
        sightings.end();
        let text = rest(&mut parts).await;
        assert_eq!(text.matches("event: gap\n").count(), 1);
        let last = sightings.last();
        let ids: Vec<u64> = text
            .lines()
            .filter_map(|line| line.strip_prefix("id: ")?.rsplit('-').next()?.parse().ok())
            .collect();
        assert!(ids.is_sorted() && ids.last() == Some(&last), "{ids:?}");
        let events = text.matches("event: leader\n").count();
        assert!((SIGHTINGS_KEPT..=SIGHTINGS_KEPT + EVENTS_TOGETHER_MAX).contains(&events), "{events}");
    }

    #[tokio::test]
    async fn what_is_remembered_is_sent_and_the_stream_ends() {
        let sightings = Sightings::new();
        sightings.add_lead(Some(1), "leader", 1);
        let text = rest(&mut begin(&sightings, false, EVENT_HEARTBEAT)).await;
        let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(kinds, ["start", "leader", "end"]);
    }
}
