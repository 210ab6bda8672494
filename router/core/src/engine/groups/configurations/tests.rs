use super::*;
use crate::engine::tests::parts::at;

const BAD: ConfigurationDigest = ConfigurationDigest::numbered(1);
const GOOD: ConfigurationDigest = ConfigurationDigest::numbered(2);

fn name(configuration: ConfigurationDigest) -> ConfigurationId {
    ConfigurationId(u64::from(configuration.bytes()[0]))
}

/// A suspect: a search with this configuration, sent in this second.
fn suspect(configuration: ConfigurationDigest, sent: u64) -> Suspect {
    Suspect {
        configuration,
        id: name(configuration),
        connector: "b/1.0/Rig".into(),
        sent: at(sent),
        has_moved: false,
        is_known: false,
    }
}

/// A table in which a process of member `number` is lost in this second.
#[derive(Default)]
struct Tried {
    configurations: Configurations,
    turned: Vec<Turned>,
}

impl Tried {
    fn lose(&mut self, number: u32, second: u64, there: Vec<Suspect>) -> Vec<ConfigurationDigest> {
        let remote = format!("process {second}");
        self.configurations.member_lost(MemberId(number), &remote, there, at(second), &mut self.turned)
    }

    /// Looks at the table. The processes that were lost in these seconds live.
    fn review(&mut self, second: u64, living: &[u64]) -> Vec<Turned> {
        let lives = |_, remote: &str| living.iter().any(|lost| remote == format!("process {lost}"));
        self.configurations.review(lives, at(second), &mut self.turned);
        std::mem::take(&mut self.turned)
    }

    fn answer(&mut self, configuration: ConfigurationDigest) -> Vec<Turned> {
        self.configurations.was_answered(configuration, &mut self.turned);
        std::mem::take(&mut self.turned)
    }

    fn bars(&self) -> [Option<Bar>; 2] {
        [BAD, GOOD].map(|configuration| self.configurations.bar(configuration))
    }
}

/// A configuration that was quarantined in the 5th second, for the loss of members 1 and 2.
fn quarantined() -> Tried {
    let mut tried = Tried::default();
    tried.lose(1, 1, vec![suspect(BAD, 0)]);
    tried.lose(2, 3, vec![suspect(BAD, 2)]);
    let turned = tried.review(5, &[]);
    assert!(matches!(&turned[..], [Turned::Quarantined(of)] if of.members == [MemberId(1), MemberId(2)]));
    tried
}

#[test]
fn what_was_at_both_losses_is_to_blame_and_what_was_at_one_is_not() {
    let mut tried = Tried::default();
    assert!(tried.lose(1, 1, vec![suspect(BAD, 0), suspect(GOOD, 0)]).is_empty(), "nobody can tell yet");
    assert_eq!(tried.bars(), [None, None]);
    assert!(tried.answer(GOOD).is_empty());
    assert_eq!(tried.lose(2, 3, vec![suspect(GOOD, 2), suspect(BAD, 2)]), [BAD]);
    assert_eq!(tried.bars(), [Some(Bar::HeldBack(at(3) + limits::POISON_PROOF_WAIT)), None]);
    tried.review(5, &[]);
    assert_eq!(tried.bars(), [Some(Bar::Quarantined), None]);
    assert!(!tried.configurations.is_suspected(GOOD));
}

#[test]
fn members_that_are_lost_at_once_count_once() {
    let mut tried = Tried::default();
    for member in 1..4 {
        assert!(tried.lose(member, 5, vec![suspect(GOOD, 4)]).is_empty());
    }
    assert_eq!(tried.bars(), [None, None]);
    // A call that moved on within the same moment came after the first loss.
    let moved = Suspect { has_moved: true, ..suspect(GOOD, 5) };
    assert_eq!(tried.lose(4, 5, vec![moved]), [GOOD]);
    assert!(tried.bars()[1].is_some());
}

#[test]
fn of_two_that_were_at_both_losses_the_one_that_never_worked_is_to_blame() {
    let mut tried = Tried::default();
    let known = |sent| Suspect { is_known: true, ..suspect(GOOD, sent) };
    tried.lose(1, 1, vec![suspect(BAD, 0), known(0)]);
    assert_eq!(tried.lose(2, 3, vec![known(2), suspect(BAD, 2)]), [BAD]);
    assert_eq!(tried.bars()[1], None);
}

#[test]
fn an_answer_clears_and_lifts_a_quarantine() {
    let mut tried = Tried::default();
    tried.lose(1, 1, vec![suspect(BAD, 0)]);
    tried.lose(2, 3, vec![suspect(BAD, 2)]);
    assert!(tried.bars()[0].is_some());
    assert!(tried.configurations.was_answered(BAD, &mut tried.turned), "calls are held back for it");
    assert!(!tried.configurations.was_answered(BAD, &mut tried.turned));
    assert!(tried.turned.is_empty() && tried.configurations.is_empty());
    let mut tried = quarantined();
    assert_eq!(tried.answer(BAD), [Turned::Released(name(BAD), "b/1.0/Rig".into(), ReleasedBy::Answer)]);
    assert_eq!(tried.bars(), [None, None]);
}

/// A configuration that works elsewhere is held back too, but another call may have ended the member.
#[test]
fn a_known_configuration_makes_nobody_innocent() {
    let mut tried = Tried::default();
    let known = |sent| Suspect { is_known: true, ..suspect(GOOD, sent) };
    tried.lose(1, 1, vec![known(0)]);
    assert!(tried.lose(2, 3, vec![known(2)]).is_empty());
    assert!(tried.bars()[1].is_none(), "one loss more than a configuration that no member answered");
    assert!(tried.lose(3, 5, vec![known(4)]).is_empty());
    assert!(tried.bars()[1].is_some());
}

#[test]
fn processes_that_live_are_no_losses_whenever_that_is_seen() {
    let mut tried = Tried::default();
    tried.lose(1, 1, vec![suspect(BAD, 0)]);
    tried.lose(2, 3, vec![suspect(BAD, 2)]);
    assert!(tried.review(4, &[1]).is_empty());
    assert_eq!(tried.bars(), [None, None]);
    assert!(tried.configurations.is_suspected(BAD), "the other loss stays");
    let mut tried = quarantined();
    assert!(matches!(tried.review(9, &[3])[..], [Turned::Released(_, _, ReleasedBy::Life)]));
    assert_eq!(tried.bars(), [None, None]);
}

#[test]
fn each_quarantine_is_longer_and_after_a_release_one_loss_is_enough() {
    let mut tried = quarantined();
    let (mut now, mut times) = (5, Vec::new());
    for round in 0..9 {
        let of = tried.configurations.quarantine(BAD).expect("quarantined");
        assert_eq!(of.times, round + 1);
        let time = of.until.since(of.since);
        times.push(time.as_secs());
        assert!(tried.review(now + time.as_secs() - 1, &[]).is_empty());
        now += time.as_secs();
        assert!(matches!(tried.review(now, &[])[..], [Turned::Released(_, _, ReleasedBy::Time)]));
        assert!(tried.bars()[0].is_none() && tried.configurations.is_suspected(BAD), "not tested yet");
        assert_eq!(tried.lose(3, now + 2, vec![suspect(BAD, now + 1)]), [BAD]);
        now += 4;
        assert_eq!(tried.review(now, &[]).len(), 1);
    }
    assert_eq!(times, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
}

#[test]
fn an_operator_releases_by_name_and_once() {
    let mut tried = quarantined();
    tried.configurations.was_refused(BAD);
    assert_eq!(tried.configurations.quarantine(BAD).map(|of| of.refused), Some(1));
    assert!(!tried.configurations.release(name(GOOD), at(6), &mut tried.turned));
    assert!(tried.configurations.release(name(BAD), at(6), &mut tried.turned));
    assert!(!tried.configurations.release(name(BAD), at(6), &mut tried.turned));
    assert!(matches!(tried.turned[..], [Turned::Released(_, _, ReleasedBy::Operator)]));
    // A long time without a further loss clears the configuration.
    tried.turned.clear();
    let much_later = 6 + limits::PROBATION_KEPT.as_secs();
    assert!(tried.review(much_later - 1, &[]).is_empty() && !tried.configurations.is_empty());
    assert!(tried.review(much_later, &[]).is_empty() && tried.configurations.is_empty());
}

/// P10: new suspects take the room of old suspects, and quarantines stay.
#[test]
fn the_table_is_bounded_and_a_flood_of_suspects_releases_nothing() {
    let mut tried = quarantined();
    let flood = |number: u32| {
        let mut bytes = [9; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        ConfigurationDigest::of_bytes(bytes)
    };
    for number in 0..2 * limits::SUSPECTED_CONFIGURATIONS_MAX as u32 {
        tried.lose(9, 10 + u64::from(number), vec![suspect(flood(number), 9)]);
    }
    assert_eq!(tried.configurations.cases.len(), limits::SUSPECTED_CONFIGURATIONS_MAX);
    assert_eq!(tried.bars()[0], Some(Bar::Quarantined));
    assert!(tried.review(40, &[]).is_empty());
    // The processes that are remembered of one configuration are bounded as well.
    for member in 0..20 {
        tried.lose(member, 41, vec![suspect(GOOD, 40)]);
    }
    assert_eq!(tried.configurations.cases[&GOOD].losses.len(), limits::LOSSES_PER_CONFIGURATION_MAX);
    // A suspicion without a second loss is dropped.
    let end = 10 + 2 * limits::SUSPECTED_CONFIGURATIONS_MAX as u64 + limits::SUSPICION_KEPT.as_secs();
    tried.review(end, &[]);
    assert!(tried.configurations.cases.len() <= 1);
}
