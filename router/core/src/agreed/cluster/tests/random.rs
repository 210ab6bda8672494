//! Random commands, given to several copies.

use proptest::prelude::*;

use super::*;
use crate::agreed::limits::CREDENTIALS_PER_PRINCIPAL_MAX;
use crate::ids::NameBook;
use crate::settings::Settings;

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![8 => prop::sample::select(vec!["a", "b", "c", "d", "g", "h"]), 1 => Just("bad/name"), 1 => Just("")]
        .prop_map(str::to_owned)
}

fn any_group() -> impl Strategy<Value = GroupSpec> {
    let policy = prop::sample::select(Policy::ALL.to_vec());
    (any_name(), policy, proptest::collection::vec(any_name(), 0..3))
        .prop_map(|(name, policy, members)| GroupSpec { name, policy, members })
}

fn any_member() -> impl Strategy<Value = MemberSpec> {
    (any_name(), any::<bool>(), 0..4u8).prop_map(|(name, accepts, sockets)| {
        let link = if accepts { Link::Accept } else { dialled(&name).link };
        MemberSpec { link, sockets, ..member(&name) }
    })
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        any_group().prop_map(Edit::CreateGroup),
        any_group().prop_map(Edit::ReplaceGroup),
        any_name().prop_map(|group| Edit::DeleteGroup { group }),
        any_member().prop_map(Edit::AddMember),
        any_member().prop_map(Edit::ReplaceMember),
        any_name().prop_map(|member| Edit::RemoveMember { member }),
        (any_name(), any_name(), prop::option::of(0..3usize))
            .prop_map(|(group, member, position)| Edit::AddToGroup { group, member, position }),
        (any_name(), any_name()).prop_map(|(group, member)| Edit::RemoveFromGroup { group, member }),
    ]
}

fn any_sets() -> impl Strategy<Value = SetsChange> {
    let set = (0..3u8, prop::option::of(0..2u8)).prop_map(|(wire, files)| SetDigest {
        wire: Digest::of(&[wire]),
        files: files.map(|files| Digest::of(&[files])),
    });
    let content = prop_oneof![Just(Content::Some), Just(Content::Empty)];
    (set, content, 0..6u8).prop_map(|(set, content, which)| match which {
        0 => SetsChange::AcceptFirst { set, content },
        1 => SetsChange::LearnFiles { set },
        2 => SetsChange::Propose { set, stand_ins: None },
        3 => SetsChange::Commit,
        4 => SetsChange::Abort,
        _ => SetsChange::Pin { set },
    })
}

fn any_action() -> impl Strategy<Value = Action> {
    let documents =
        (proptest::collection::vec(any_member(), 0..4), proptest::collection::vec(any_group(), 0..3));
    let configure = (prop::option::of(documents), prop::option::of(1..5u32), any::<u8>()).prop_map(
        |(document, percent, digest)| Action::Configure {
            document: document.map(|(members, groups)| Document { members, groups }),
            settings: percent.map(|percent| {
                let mut settings = Settings::default();
                settings.defaults.retry_percent = percent;
                Box::new(settings)
            }),
            digest: Digest::of(&[digest]),
        },
    );
    let marks = prop::sample::select(vec![Mark::Enabled, Mark::Draining, Mark::Disabled]);
    let hash = (0..3u128).prop_map(|salt| Salted::new(salt, SECRET));
    prop_oneof![
        3 => configure,
        12 => any_edit().prop_map(Action::Edit),
        3 => (any_name(), marks).prop_map(|(member, mark)| Action::Mark { member, mark }),
        4 => (any_name(), any_sets()).prop_map(|(group, change)| Action::Sets { group, change }),
        1 => any::<[u64; 2]>().prop_map(|seed| Action::Seed(seed.into())),
        1 => prop::sample::select(vec![Authority::File, Authority::Cluster]).prop_map(Action::Authority),
        1 => any_name().prop_map(|name| token(&name)),
        1 => any_name().prop_map(|name| Action::RevokeApi { name }),
        2 => (any_name(), any_name(), hash)
            .prop_map(|(principal, name, hash)| Action::GrantCaller { principal, name, hash }),
        1 => (any_name(), any_name()).prop_map(|(principal, name)| Action::RevokeCaller { principal, name }),
        1 => (0..20usize, 0..3usize).prop_map(|(from, count)| calls(from..from + count)),
    ]
}

/// The id is one of few, so that many commands are retries of others, and most expected revisions are wrong.
fn any_command() -> impl Strategy<Value = Command> {
    let authors =
        prop::sample::select(vec![Author::Operator, Author::Operator, Author::Files, Author::Router]);
    let expected = prop_oneof![4 => Just(None), 1 => (0..20u64).prop_map(Some)];
    (0..60u128, authors, expected, any_action(), "\\PC{0,300}").prop_map(
        |(request, author, expected_revision, action, who)| {
            let who = clip(&who, crate::agreed::limits::WHO_BYTES_MAX).to_owned();
            Command { expected_revision, who, ..command(request, author, action) }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn copies_that_are_given_the_same_commands_stay_equal(
        mut commands in proptest::collection::vec(any_command(), 1..80),
        restore_at in any::<prop::sample::Index>(),
    ) {
        commands.insert(0, command(1_000, Author::Files, configure(document())));
        commands.insert(1, command(1_001, Author::Files, Action::Authority(Authority::Cluster)));
        let restore_at = restore_at.index(commands.len());
        // One applies commands as they are, one as it reads them from the log; and the second is restored from a snapshot once.
        let (mut one, mut two) = (ClusterState::default(), ClusterState::default());
        for (number, command) in commands.iter().enumerate() {
            if number == restore_at {
                two = ClusterState::decode(&two.encode().unwrap()).unwrap();
            }
            let index = 1 + number as u64 / 3;
            let before = one.clone();
            let outcome = one.apply(index, command);
            prop_assert_eq!(&two.apply_stored(index, &command.encode().unwrap()), &Ok(outcome.clone()));
            prop_assert_eq!(Outcome::decode(&outcome.encode().unwrap()), Ok(outcome.clone()));

            let first = before.outcome(command.request);
            let is_changed = outcome.result == CommandResult::Changed;
            match (first, is_changed) {
                (Some(first), _) => {
                    prop_assert_eq!(&outcome, first);
                    let unmoved = ClusterState { applied: index, ..before };
                    prop_assert_eq!(&one, &unmoved);
                }
                (None, true) => prop_assert_eq!(one.revision(), before.revision() + 1),
                (None, false) => {
                    prop_assert_eq!(one.revision(), before.revision());
                    prop_assert_eq!((&one.agreed, &one.credentials), (&before.agreed, &before.credentials));
                    prop_assert_eq!((one.seed, one.authority), (before.seed, before.authority));
                    prop_assert_eq!(&one.acknowledged, &before.acknowledged);
                }
            }
            // Whatever is agreed can be followed.
            prop_assert!(one.agreed().view(&mut NameBook::new()).is_ok());
            prop_assert!(one.credentials.is_within_bounds() && one.audit.is_within_bounds());
        }
        prop_assert_eq!(one.digest(), two.digest());
        prop_assert_eq!(&one, &two);
        let shown = format!("{one:?}");
        prop_assert!(!shown.contains(SECRET));
        let of_a = one.credentials.callers().filter(|(principal, _)| *principal == "a").count();
        prop_assert!(of_a <= CREDENTIALS_PER_PRINCIPAL_MAX);
    }
}
