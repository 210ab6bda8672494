//! Takes over renewed cluster certificates while the router runs, and reminds of those that end.

use rcs_consensus::transport::{Credentials, Reloaded};
use tokio::time::{Instant, sleep};

use crate::limits::{CERTIFICATES_EVERY, CERTIFICATES_TOLD_EVERY};

/// Takes over renewed certificates, for ever. What is wrong with the certificates is logged when it begins, and then daily.
pub(super) async fn renew(credentials: Credentials) {
    // The start has logged these.
    let mut told = Told { sentences: credentials.warnings(), at: Instant::now() };
    loop {
        sleep(CERTIFICATES_EVERY).await;
        let own = credentials.clone();
        // Fails only when the process ends.
        let Ok(reloaded) = tokio::task::spawn_blocking(move || own.reload()).await else { return };
        let now = Instant::now();
        match reloaded {
            Ok(Reloaded::Same(warnings)) => warn(told.due(warnings, now)),
            Ok(Reloaded::Renewed(warnings)) => {
                tracing::info!("the cluster certificate changed and is in force for new connections");
                warn(told.due(warnings, now));
            }
            Err(error) => {
                let sentence = format!("{error}\nthe certificate that was read before stays in use");
                told.due(vec![sentence], now).iter().for_each(|sentence| tracing::error!("{sentence}"));
            }
        }
    }
}

fn warn(sentences: &[String]) {
    sentences.iter().for_each(|sentence| tracing::warn!("{sentence}"));
}

/// What was logged last, and when.
#[derive(Debug)]
struct Told {
    sentences: Vec<String>,
    at: Instant,
}

impl Told {
    /// What is to be logged now, of what is so now: all of it if something changed or a day has passed, else nothing.
    fn due(&mut self, sentences: Vec<String>, now: Instant) -> &[String] {
        if sentences == self.sentences && now < self.at + CERTIFICATES_TOLD_EVERY {
            return &[];
        }
        *self = Self { sentences, at: now };
        &self.sentences
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_stays_wrong_is_told_again_every_day() {
        let start = Instant::now();
        let mut told = Told { sentences: Vec::new(), at: start };
        let (ends, ended) = (vec!["ends".to_owned()], vec!["ended".to_owned()]);
        let day = CERTIFICATES_TOLD_EVERY;
        for (after, now, is_told) in [
            (Duration::from_secs(30), &Vec::new(), false),
            (Duration::from_secs(60), &ends, true),
            (Duration::from_secs(90), &ends, false),
            (Duration::from_secs(60) + day, &ends, true),
            (Duration::from_secs(90) + day, &ends, false),
            (Duration::from_secs(120) + day, &ended, true),
            (Duration::from_secs(150) + day, &Vec::new(), false),
            (Duration::from_secs(180) + day, &ends, true),
        ] {
            let due = told.due(now.clone(), start + after);
            assert_eq!(due, if is_told { &now[..] } else { &[] }, "{after:?}");
        }
    }
}
