//! Two candidates in one term: a router that forgets its vote makes leaders of both.

use std::time::Duration;

use rcs_consensus::limits::ELECTION;
use rcs_consensus::{Role, RouterId};

use super::cluster::{End, led};
use super::executor;
use super::faults::Faults;
use super::runtime::sleep;

/// More than a router waits before it wants to lead.
const JUMP: Duration = Duration::from_secs(5);
/// How long the scene waits for a candidate to win.
const WINS_WITHIN_MS: u32 = 300;

impl Faults {
    /// The routers lose their power. One of the two with the longest logs stands for election while the other is still off. The rest of
    /// the routers, the witnesses, grant their votes, and lose their power before the new leader's first entry reaches them. Then the
    /// second router stands for election in the same term, or goes on to lead the term before if it led that. Each witness must know that
    /// its vote is given away, or two leaders have a majority.
    ///
    /// The second candidate has the lower id: in one term openraft lets a vote for a higher id follow one for a lower id.
    pub(super) async fn two_candidates(&mut self) {
        let Some(leader) = led(&self.cluster) else { return };
        let mut voters: Vec<(u64, RouterId)> =
            leader.voters.iter().map(|id| (self.last_log(id.number), *id)).collect();
        if voters.len() < 3 {
            return;
        }
        voters.sort();
        let mut candidates = [voters.pop(), voters.pop()].map(|voter| voter.map_or(0, |(_, id)| id.number));
        candidates.sort_unstable();
        let [second, first] = candidates;
        let witnesses: Vec<u32> = voters.iter().map(|(_, id)| id.number).collect();
        executor::note(format_args!("n{first} and n{second} are to be candidates in one term"));
        for number in self.cluster.numbers() {
            self.power_off(number);
        }
        self.cluster.network.heal();
        self.start(&witnesses).await;
        self.cluster.start(first);
        if self.wins(first, &witnesses).await {
            for witness in &witnesses {
                self.power_off(*witness);
                self.cut_both(first, *witness);
            }
            self.cut_both(first, second);
            self.start(&witnesses).await;
            self.cluster.start(second);
            // With a correct store the second candidate is refused, and wins a later term at most.
            self.wins(second, &[]).await;
            self.after_next_write().await;
        }
        self.cluster.network.heal();
        for number in self.cluster.numbers() {
            self.cluster.start(number);
        }
    }

    fn power_off(&mut self, number: u32) {
        self.kills += u64::from(self.cluster.is_up(number));
        self.cluster.end(number, End::PowerOff);
    }

    /// Starts the routers, and waits until they are free to vote: a router that has just started gives the leader of before so much time.
    async fn start(&mut self, witnesses: &[u32]) {
        for witness in witnesses {
            self.cluster.start(*witness);
        }
        sleep(ELECTION.1 + Duration::from_millis(self.rng.u64(10..60))).await;
    }

    fn cut_both(&self, one: u32, other: u32) {
        self.cluster.network.cut(one.into(), other.into());
        self.cluster.network.cut(other.into(), one.into());
    }

    /// Whether the router wins an election that its clock makes it call. Nothing more reaches a witness once the witness has voted.
    async fn wins(&mut self, candidate: u32, witnesses: &[u32]) -> bool {
        let before: Vec<u64> = witnesses.iter().map(|witness| self.term(*witness)).collect();
        let mut has_jumped = false;
        for _ in 0..WINS_WITHIN_MS * 10 {
            match self.cluster.group(candidate) {
                Some(group) if !has_jumped && self.cluster.part(candidate).is_some() => {
                    executor::jump_clock(group, JUMP);
                    has_jumped = true;
                }
                _ => {}
            }
            for (witness, before) in witnesses.iter().zip(&before) {
                if self.term(*witness) > *before {
                    self.cluster.network.cut(candidate.into(), u64::from(*witness));
                }
            }
            let leads = self
                .cluster
                .part(candidate)
                .is_some_and(|(_, part)| part.status().borrow().role == Role::Leader);
            if leads {
                return true;
            }
            sleep(Duration::from_micros(100)).await;
        }
        false
    }

    fn term(&self, number: u32) -> u64 {
        self.cluster.part(number).map_or(0, |(_, part)| part.status().borrow().term)
    }

    fn last_log(&self, number: u32) -> u64 {
        self.cluster.part(number).map_or(0, |(_, part)| part.status().borrow().last_log)
    }
}
