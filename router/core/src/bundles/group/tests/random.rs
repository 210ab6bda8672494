//! Random sequences of everything that can happen, with what must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Wire(u32, u8),
    Files(u32, u8),
    Unreadable(u32),
    Gone(u32),
    Members(Vec<u32>),
    BundlePolicy(BundlePolicy),
    Pin(u8),
    Propose(u8),
    ProposeOf(u32),
    Commit,
    Abort,
    Wait(u64),
    Absent(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let member = 0..4u32;
    prop_oneof![
        8 => (member.clone(), 0..3u8).prop_map(|(member, set)| Step::Wire(member, set)),
        3 => (member.clone(), 0..2u8).prop_map(|(member, set)| Step::Files(member, set)),
        1 => member.clone().prop_map(Step::Unreadable),
        2 => member.clone().prop_map(Step::Gone),
        1 => member.clone().prop_map(Step::Absent),
        1 => proptest::sample::subsequence(vec![0, 1, 2, 3], 1..=4).prop_map(Step::Members),
        1 => any_policy().prop_map(Step::BundlePolicy),
        1 => (0..4u8).prop_map(Step::Pin),
        2 => (0..3u8).prop_map(Step::Propose),
        1 => member.prop_map(Step::ProposeOf),
        2 => Just(Step::Commit),
        1 => Just(Step::Abort),
        3 => prop_oneof![0..5u64, 0..400u64].prop_map(Step::Wait),
    ]
}

fn any_policy() -> impl Strategy<Value = BundlePolicy> {
    let reports = prop_oneof![3 => Just(Reports::WireOnly), 1 => Just(Reports::RequireAgent)];
    let none_left = prop_oneof![2 => Just(NoneLeft::KeepLast), 1 => Just(NoneLeft::FailClosed)];
    (reports, none_left, 0..3usize).prop_map(|(reports, none_left, serving_min)| BundlePolicy {
        reports,
        none_left,
        serving_min,
    })
}

fn wire_no(set: u8) -> Arc<WireManifest> {
    static WIRES: LazyLock<[Arc<WireManifest>; 4]> =
        LazyLock::new(|| std::array::from_fn(|set| wire(&format!("1.0.0.{set}"))));
    Arc::clone(&WIRES[usize::from(set)])
}

fn set_no(set: u8) -> SetDigest {
    SetDigest { wire: *wire_no(set).digest(), files: None }
}

/// What the members really have, beside what the group makes of it.
#[derive(Default)]
struct Model {
    members: BTreeSet<u32>,
    wire: BTreeMap<u32, Digest>,
    /// With when the agent was heard last.
    files: BTreeMap<u32, (Digest, Moment)>,
    unreadable: BTreeSet<u32>,
    served: BTreeSet<u32>,
}

impl Model {
    fn shown(&self, member: u32, group: &GroupSets) -> Option<SetDigest> {
        let wire = *self.wire.get(&member)?;
        match group.policy.reports {
            Reports::WireOnly => Some(SetDigest { wire, files: None }),
            Reports::RequireAgent => Some(SetDigest { wire, files: Some(self.files.get(&member)?.0) }),
        }
    }

    fn is_right(&self, member: u32, group: &GroupSets) -> bool {
        let status = group.status();
        let sets = status.accepted.map(|(set, _)| set).into_iter().chain(status.next);
        self.shown(member, group).is_some_and(|shown| {
            sets.into_iter().any(|set| {
                set.wire == shown.wire
                    && (shown.files.is_none() || set.files.is_none_or(|f| Some(f) == shown.files))
            })
        })
    }

    fn is_known(&self, member: u32) -> bool {
        self.wire.contains_key(&member) || self.unreadable.contains(&member)
    }

    /// What really happens with this step.
    fn follow(&mut self, step: &Step, now: Moment) {
        match step {
            Step::Wire(member, set) if self.members.contains(member) => {
                self.wire.insert(*member, *wire_no(*set).digest());
                self.unreadable.remove(member);
            }
            Step::Files(member, set) if self.members.contains(member) => {
                self.files.insert(*member, (files(&set.to_string()).digest(), now));
            }
            Step::Unreadable(member) if self.members.contains(member) => {
                self.wire.remove(member);
                self.unreadable.insert(*member);
            }
            Step::Gone(member) => {
                self.wire.remove(member);
                self.unreadable.remove(member);
            }
            Step::Members(members) => {
                self.members = members.iter().copied().collect();
                self.wire.retain(|member, _| self.members.contains(member));
                self.files.retain(|member, _| self.members.contains(member));
                self.unreadable.retain(|member| self.members.contains(member));
                self.served.retain(|member| self.members.contains(member));
            }
            Step::Wait(_) => self.files.retain(|_, (_, heard)| now.since(*heard) < AGENT_SILENCE_MAX),
            _ => {}
        }
    }
}

/// Applies a step; for what can be refused, whether it was not.
fn apply(group: &mut Alone, step: &Step, now: Moment) -> Option<bool> {
    match step {
        Step::Wire(member, set) => drop(group.wire_seen(MemberId(*member), wire_no(*set), now)),
        Step::Files(member, set) => drop(group.files_seen(MemberId(*member), files(&set.to_string()), now)),
        Step::Unreadable(member) => drop(group.wire_unreadable(MemberId(*member), "odd".to_owned(), now)),
        Step::Gone(member) => drop(group.gone(MemberId(*member), now)),
        Step::Absent(member) => drop(group.absent(MemberId(*member), now)),
        Step::Members(members) => {
            let members: Vec<MemberId> = members.iter().copied().map(MemberId).collect();
            drop(group.members_are(&members, now));
        }
        Step::BundlePolicy(policy) => drop(group.policy_is(*policy, now)),
        Step::Pin(set) => drop(group.pin(set_no(*set), now)),
        Step::Propose(set) => {
            return Some(group.propose(Proposal::Set(set_no(*set)), now).is_ok());
        }
        Step::ProposeOf(member) => return Some(group.propose(Proposal::Of(MemberId(*member)), now).is_ok()),
        Step::Commit => return Some(group.commit(now).is_ok()),
        Step::Abort => return Some(group.abort(now).is_ok()),
        Step::Wait(_) => drop(group.tick(now)),
    }
    None
}

fn check(group: &GroupSets, model: &Model, now: Moment) {
    let none_is_right = !model.members.iter().any(|member| model.is_right(*member, group));
    for member in &model.members {
        let standing = group.standing(MemberId(*member)).unwrap();
        assert_eq!(group.may_serve(MemberId(*member)), standing.serves());
        let is_right = model.is_right(*member, group);
        match standing {
            BundleStanding::Unknown => assert!(!model.is_known(*member) || group.waits_for_reports()),
            BundleStanding::Matching | BundleStanding::MatchingNext => {
                assert!(is_right, "{member} serves a wrong set")
            }
            BundleStanding::Held { until } => assert!(is_right && *until > now, "{member} is held"),
            BundleStanding::Kept(cause) => {
                assert_eq!(group.policy.none_left, NoneLeft::KeepLast);
                assert!(none_is_right && !is_right, "{member} is kept beside members of the right set");
                let nothing_to_differ_from =
                    group.accepted.is_none() && matches!(cause, Cause::Unreadable(_));
                let shown = model.shown(*member, group);
                let is_like_one = shown.is_some_and(|shown| group.kept_sets.contains(&shown));
                assert!(
                    model.served.contains(member) || nothing_to_differ_from || is_like_one,
                    "{member} never served before"
                );
            }
            BundleStanding::Quarantined(_) => assert!(!is_right && model.is_known(*member)),
        }
        // Released when it matches again, if it is not held.
        if is_right && !matches!(standing, BundleStanding::Held { .. }) {
            assert!(standing.serves());
        }
    }
    assert_eq!(group.members.len(), model.members.len());
    assert!(group.serving().len() <= model.members.len());
    let keeps =
        model.members.iter().any(|m| matches!(group.standing(MemberId(*m)), Some(BundleStanding::Kept(_))));
    assert_eq!(group.alarm() == Some(Alarm::KeepsLast) && !group.serving().is_empty(), keeps);
    let is_any_known = model.members.iter().any(|member| model.is_known(*member));
    if group.serving().is_empty() && is_any_known && !group.waits_for_reports() {
        assert_eq!(group.alarm(), Some(Alarm::NoneServes));
    }
}

proptest! {
    #[test]
    fn whatever_happens_no_quarantined_member_serves(policy in any_policy(), steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut group = Alone::new(policy);
        let mut model = Model::default();
        let mut now = at(1);
        let start = Step::Members(vec![0, 1, 2]);
        for step in std::iter::once(&start).chain(&steps) {
            if let Step::Wait(seconds) = step {
                now = now + Duration::from_secs(*seconds);
            }
            let served: Vec<u32> = (0..4).filter(|member| group.may_serve(MemberId(*member))).collect();
            let (next, had_set) = (group.status().next, group.accepted.is_some());
            let done = apply(&mut group, step, now);
            model.follow(step, now);
            check(&group, &model, now);
            // With keep-last at least one of those that served before still does, if it can be reached.
            let reachable = served.iter().any(|member| model.is_known(*member));
            if group.policy.none_left == NoneLeft::KeepLast && reachable && had_set {
                prop_assert!(!group.serving().is_empty(), "{:?} ended all service", step);
            }
            if let (Step::Commit, Some(true)) = (step, done) {
                prop_assert_eq!(group.status().accepted, next.map(|next| (next, Origin::Committed)));
                prop_assert!(!group.serving().is_empty());
            }
            if let (Step::Commit | Step::Abort, Some(true)) = (step, done) {
                let all = group.members.values();
                let mixed = all.filter(|r| matches!(r.standing, BundleStanding::MatchingNext)).count();
                prop_assert_eq!((mixed, group.status().next), (0, None), "only members of one set are left");
            }
            if let (Step::Propose(_) | Step::ProposeOf(_), Some(true)) = (step, done) {
                prop_assert!(group.serving().len().saturating_sub(1) >= group.policy.serving_min, "one may be away");
            }
            // What was told already is not told again, and changes nothing.
            if let Step::Wire(..) | Step::Files(..) | Step::Unreadable(_) | Step::BundlePolicy(_) | Step::Members(_) = step {
                let before = group.status();
                let again = match step {
                    Step::Wire(m, set) => group.wire_seen(MemberId(*m), wire_no(*set), now),
                    Step::Files(m, set) => group.files_seen(MemberId(*m), files(&set.to_string()), now),
                    Step::Unreadable(m) => group.wire_unreadable(MemberId(*m), "odd".to_owned(), now),
                    Step::BundlePolicy(policy) => group.policy_is(*policy, now),
                    _ => Vec::new(),
                };
                prop_assert_eq!(again, []);
                prop_assert_eq!(group.status(), before);
            }
            // A member that serves beside a kept one is kept for its equal set, and may later be the last to serve.
            for member in model.members.iter().filter(|member| group.may_serve(MemberId(**member))) {
                model.served.insert(*member);
            }
        }
    }
}
