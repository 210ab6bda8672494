use super::error::Repeatable;
use super::*;

const CLASSES: [Class; 6] =
    [Class::PureRead, Class::CountedRead, Class::Stream, Class::Page, Class::Write, Class::Subscription];
const STAGES: [Stage; 4] = [Stage::Unsent, Stage::MaybeSent, Stage::PartlyAnswered, Stage::Answered];
const FAULTS: [Fault; 16] = [
    Fault::MemberLost,
    Fault::SocketLost,
    Fault::RefusedBeforeHandshake,
    Fault::ConnectorNotFound,
    Fault::IdInUse,
    Fault::MemberShutsDown,
    Fault::ResourceFailing,
    Fault::AnswerOverdue,
    Fault::CallerTooSlow,
    Fault::TooLarge,
    Fault::EndLooksCut,
    Fault::NoMember,
    Fault::QueueFull,
    Fault::QueueTimeout,
    Fault::DeadlinePassed,
    Fault::Draining,
];

/// Every cell: one row per fault and stage, one column per class in the order of [`CLASSES`].
#[rustfmt::skip]
const TABLE: &[(&str, &str, [&str; 6])] = &[
    // fault           stage             PureRead        CountedRead     Stream          Page            Write
    // Subscription
    ("MemberLost",     "Unsent",         ["elsewhere",   "elsewhere",    "elsewhere",    "PageLost",     "elsewhere",      "elsewhere"]),
    ("MemberLost",     "MaybeSent",      ["elsewhere",   "LoginUnknown", "elsewhere",    "PageLost",     "OutcomeUnknown", "SubscriptionLost"]),
    ("MemberLost",     "PartlyAnswered", ["AnswerLost",  "LoginUnknown", "StreamCut",    "PageLost",     "OutcomeUnknown", "SubscriptionLost"]),
    ("SocketLost",     "Unsent",         ["same",        "same",         "same",         "same",         "same",           "same"]),
    ("SocketLost",     "MaybeSent",      ["same",        "wait",         "same",         "wait",         "wait",           "wait"]),
    ("SocketLost",     "PartlyAnswered", ["wait",        "wait",         "wait",         "wait",         "wait",           "wait"]),
    ("RefusedBeforeHandshake", "Unsent", ["same",        "same",         "same",         "same",         "same",           "same"]),
    ("RefusedBeforeHandshake", "MaybeSent", ["same",     "same",         "same",         "same",         "same",           "same"]),
    ("RefusedBeforeHandshake", "PartlyAnswered", ["AnswerLost", "LoginUnknown", "StreamCut", "PageLost", "OutcomeUnknown", "SubscriptionLost"]),
    ("ConnectorNotFound", "Unsent",      ["elsewhere",   "elsewhere",    "elsewhere",    "pass on",      "elsewhere",      "elsewhere"]),
    ("ConnectorNotFound", "MaybeSent",   ["elsewhere",   "elsewhere",    "elsewhere",    "pass on",      "elsewhere",      "elsewhere"]),
    ("ConnectorNotFound", "PartlyAnswered", ["pass on",  "pass on",      "pass on",      "pass on",      "pass on",        "pass on"]),
    ("IdInUse",        "Unsent",         ["same",        "same",         "same",         "same",         "same",           "same"]),
    ("IdInUse",        "MaybeSent",      ["same",        "same",         "same",         "same",         "same",           "same"]),
    ("IdInUse",        "PartlyAnswered", ["AnswerLost",  "LoginUnknown", "StreamCut",    "PageLost",     "OutcomeUnknown", "SubscriptionLost"]),
    ("MemberShutsDown",  "Unsent",         ["elsewhere",   "elsewhere",    "elsewhere",    "PageLost",     "elsewhere",      "elsewhere"]),
    ("MemberShutsDown",  "MaybeSent",      ["elsewhere",   "elsewhere",    "elsewhere",    "PageLost",     "elsewhere",      "elsewhere"]),
    ("MemberShutsDown",  "PartlyAnswered", ["pass on",     "pass on",      "pass on",      "pass on",      "pass on",        "pass on"]),
    ("ResourceFailing", "Unsent",        ["elsewhere",   "pass on",      "elsewhere",    "pass on",      "pass on",        "pass on"]),
    ("ResourceFailing", "MaybeSent",     ["elsewhere",   "pass on",      "elsewhere",    "pass on",      "pass on",        "pass on"]),
    ("ResourceFailing", "PartlyAnswered", ["pass on",    "pass on",      "pass on",      "pass on",      "pass on",        "pass on"]),
    ("AnswerOverdue",  "Unsent",         ["nothing",     "nothing",      "nothing",      "nothing",      "nothing",        "nothing"]),
    ("AnswerOverdue",  "MaybeSent",      ["hedge",       "nothing",      "hedge",        "nothing",      "nothing",        "nothing"]),
    ("AnswerOverdue",  "PartlyAnswered", ["nothing",     "nothing",      "nothing",      "nothing",      "nothing",        "nothing"]),
    ("CallerTooSlow",  "Unsent",         ["CallerTooSlow", "CallerTooSlow", "CallerTooSlow", "CallerTooSlow", "CallerTooSlow", "CallerTooSlow"]),
    ("CallerTooSlow",  "MaybeSent",      ["CallerTooSlow", "CallerTooSlow", "CallerTooSlow", "CallerTooSlow", "OutcomeUnknown", "CallerTooSlow"]),
    ("CallerTooSlow",  "PartlyAnswered", ["CallerTooSlow", "CallerTooSlow", "CallerTooSlow", "CallerTooSlow", "OutcomeUnknown", "CallerTooSlow"]),
    ("TooLarge",       "Unsent",         ["RequestTooLarge", "RequestTooLarge", "RequestTooLarge", "RequestTooLarge", "RequestTooLarge", "RequestTooLarge"]),
    ("TooLarge",       "MaybeSent",      ["AnswerTooLarge", "AnswerTooLarge", "AnswerTooLarge", "AnswerTooLarge", "OutcomeUnknown", "AnswerTooLarge"]),
    ("TooLarge",       "PartlyAnswered", ["AnswerTooLarge", "AnswerTooLarge", "AnswerTooLarge", "AnswerTooLarge", "OutcomeUnknown", "AnswerTooLarge"]),
    ("EndLooksCut",    "Unsent",         ["AnswerLost",  "NoMember",     "elsewhere",    "StreamCut",    "NoMember",       "SubscriptionLost"]),
    ("EndLooksCut",    "MaybeSent",      ["AnswerLost",  "LoginUnknown", "elsewhere",    "StreamCut",    "OutcomeUnknown", "SubscriptionLost"]),
    ("EndLooksCut",    "PartlyAnswered", ["AnswerLost",  "LoginUnknown", "StreamCut",    "StreamCut",    "OutcomeUnknown", "SubscriptionLost"]),
    ("NoMember",       "Unsent",         ["NoMember",    "NoMember",     "NoMember",     "PageLost",     "NoMember",       "NoMember"]),
    ("NoMember",       "MaybeSent",      ["NoMember",    "LoginUnknown", "NoMember",     "PageLost",     "OutcomeUnknown", "SubscriptionLost"]),
    ("NoMember",       "PartlyAnswered", ["AnswerLost",  "LoginUnknown", "StreamCut",    "PageLost",     "OutcomeUnknown", "SubscriptionLost"]),
    ("QueueFull", "Unsent", ["QueueFull", "QueueFull", "QueueFull", "QueueFull", "QueueFull", "QueueFull"]),
    ("QueueFull", "MaybeSent", ["AnswerLost", "LoginUnknown", "AnswerLost", "PageLost", "OutcomeUnknown", "SubscriptionLost"]),
    ("QueueFull", "PartlyAnswered", ["AnswerLost", "LoginUnknown", "StreamCut", "PageLost", "OutcomeUnknown", "SubscriptionLost"]),
    ("QueueTimeout", "Unsent", ["QueueTimeout", "QueueTimeout", "QueueTimeout", "QueueTimeout", "QueueTimeout", "QueueTimeout"]),
    ("QueueTimeout", "MaybeSent", ["AnswerLost", "LoginUnknown", "AnswerLost", "PageLost", "OutcomeUnknown", "SubscriptionLost"]),
    ("QueueTimeout", "PartlyAnswered", ["AnswerLost", "LoginUnknown", "StreamCut", "PageLost", "OutcomeUnknown", "SubscriptionLost"]),
    ("DeadlinePassed", "Unsent",         ["Deadline",    "Deadline",     "Deadline",     "Deadline",     "Deadline",       "Deadline"]),
    ("DeadlinePassed", "MaybeSent",      ["Deadline",    "DeadlineUnknown",     "Deadline",     "Deadline",     "DeadlineUnknown", "Deadline"]),
    ("DeadlinePassed", "PartlyAnswered", ["Deadline",    "DeadlineUnknown",     "Deadline",     "Deadline",     "DeadlineUnknown", "Deadline"]),
    ("Draining",       "Unsent",         ["Draining",    "Draining",     "Draining",     "Draining",     "Draining",       "Draining"]),
    ("Draining",       "MaybeSent",      ["Draining",    "LoginUnknown", "Draining",     "Draining",     "OutcomeUnknown", "SubscriptionLost"]),
    ("Draining",       "PartlyAnswered", ["AnswerLost",  "LoginUnknown", "StreamCut",    "PageLost",     "OutcomeUnknown", "SubscriptionLost"]),
];

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::RetryElsewhere => "elsewhere".to_owned(),
        Verdict::RetrySame => "same".to_owned(),
        Verdict::Wait => "wait".to_owned(),
        Verdict::Hedge => "hedge".to_owned(),
        Verdict::HoldBack => "hold back".to_owned(),
        Verdict::PassOn => "pass on".to_owned(),
        Verdict::Nothing => "nothing".to_owned(),
        Verdict::Answer(kind) => format!("{kind:?}"),
    }
}

#[test]
fn every_cell_of_the_table() {
    for fault in FAULTS {
        for stage in STAGES {
            for (column, class) in CLASSES.into_iter().enumerate() {
                let expected = match stage {
                    Stage::Answered => "nothing",
                    _ => {
                        let row = TABLE
                            .iter()
                            .find(|(f, s, _)| *f == format!("{fault:?}") && *s == format!("{stage:?}"));
                        row.unwrap_or_else(|| panic!("no row for {fault:?} {stage:?}")).2[column]
                    }
                };
                let verdict = decide(class, stage, fault, Attempts::default());
                assert_eq!(word(verdict), expected, "{fault:?} {stage:?} {class:?}");
            }
        }
    }
    assert_eq!(TABLE.len(), FAULTS.len() * (STAGES.len() - 1));
}

fn all_attempts() -> impl Iterator<Item = Attempts> {
    let many = || 0..=4u8;
    many().flat_map(move |elsewhere| {
        many().flat_map(move |same| {
            many().flat_map(move |losses| {
                [Budget::Left, Budget::Spent].map(|budget| Attempts { elsewhere, same, losses, budget })
            })
        })
    })
}

#[test]
fn what_may_have_been_run_is_never_sent_again_unless_it_only_reads_p2() {
    let not_run =
        [Fault::RefusedBeforeHandshake, Fault::ConnectorNotFound, Fault::IdInUse, Fault::MemberShutsDown];
    for fault in FAULTS {
        for class in [Class::CountedRead, Class::Page, Class::Write, Class::Subscription] {
            for stage in [Stage::MaybeSent, Stage::PartlyAnswered] {
                if stage == Stage::MaybeSent && not_run.contains(&fault) {
                    continue;
                }
                for attempts in all_attempts() {
                    let verdict = decide(class, stage, fault, attempts);
                    assert!(
                        !matches!(verdict, Verdict::RetryElsewhere | Verdict::RetrySame | Verdict::Hedge),
                        "{fault:?} {stage:?} {class:?} {attempts:?}: {verdict:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_was_delivered_in_part_is_never_replayed_p13() {
    for fault in FAULTS {
        for class in CLASSES {
            for attempts in all_attempts() {
                let verdict = decide(class, Stage::PartlyAnswered, fault, attempts);
                assert!(
                    !matches!(verdict, Verdict::RetryElsewhere | Verdict::RetrySame | Verdict::Hedge),
                    "{fault:?} {class:?}"
                );
            }
        }
    }
}

#[test]
fn a_write_that_may_have_run_is_never_answered_with_an_error_idm_repeats_p2() {
    for fault in FAULTS {
        for stage in [Stage::MaybeSent, Stage::PartlyAnswered] {
            for attempts in all_attempts() {
                let certain = [Fault::RefusedBeforeHandshake, Fault::ConnectorNotFound, Fault::IdInUse]
                    .contains(&fault);
                if let Verdict::Answer(kind) = decide(Class::Write, stage, fault, attempts)
                    && !certain
                {
                    assert_eq!(kind.repeatable(), Repeatable::No, "{fault:?} {stage:?}: {kind:?}");
                }
            }
        }
    }
}

#[test]
fn repetition_ends() {
    let tired = Attempts { elsewhere: RETRIES_ELSEWHERE_MAX, same: RETRIES_SAME_MAX, ..Attempts::default() };
    let spent = Attempts { budget: Budget::Spent, ..Attempts::default() };
    for attempts in [tired, spent] {
        for fault in FAULTS {
            for stage in STAGES {
                for class in CLASSES {
                    let verdict = decide(class, stage, fault, attempts);
                    assert!(
                        !matches!(verdict, Verdict::RetryElsewhere | Verdict::RetrySame | Verdict::Hedge),
                        "{fault:?} {stage:?} {class:?}: {verdict:?}"
                    );
                }
            }
        }
    }
}

/// A refusal for load is an error that IDM repeats by itself, and may: the call was not run.
#[test]
fn a_call_that_was_turned_away_for_load_may_be_repeated() {
    let spent = Attempts { budget: Budget::Spent, ..Attempts::default() };
    for class in CLASSES {
        for (fault, stage, attempts, kind) in [
            (Fault::QueueFull, Stage::Unsent, Attempts::default(), ErrorKind::QueueFull),
            (Fault::QueueTimeout, Stage::Unsent, Attempts::default(), ErrorKind::QueueTimeout),
            (Fault::MemberLost, Stage::Unsent, spent, ErrorKind::RetriesSpent),
            (Fault::IdInUse, Stage::MaybeSent, spent, ErrorKind::RetriesSpent),
        ] {
            let is_page = class == Class::Page && kind == ErrorKind::RetriesSpent;
            let kind = if is_page { ErrorKind::PageLost } else { kind };
            assert_eq!(decide(class, stage, fault, attempts), Verdict::Answer(kind), "{class:?} {fault:?}");
            assert!(is_page || kind.is_refusal());
            assert_eq!(kind.repeatable(), Repeatable::Yes);
            assert!(kind.exception_class().ends_with(".RetryableException"));
        }
    }
}

#[test]
fn a_member_that_keeps_refusing_is_left_for_another() {
    let attempts = Attempts { same: RETRIES_SAME_MAX, ..Attempts::default() };
    let verdict = |class, fault| decide(class, Stage::MaybeSent, fault, attempts);
    assert_eq!(verdict(Class::Write, Fault::RefusedBeforeHandshake), Verdict::RetryElsewhere);
    assert_eq!(verdict(Class::Page, Fault::RefusedBeforeHandshake), Verdict::Answer(ErrorKind::PageLost));
    assert_eq!(verdict(Class::PureRead, Fault::SocketLost), Verdict::Wait);
}

#[test]
fn a_poison_call_takes_no_third_member() {
    let losses = |losses| Attempts { elsewhere: 1, losses, ..Attempts::default() };
    let verdict = |stage, n| decide(Class::PureRead, stage, Fault::MemberLost, losses(n));
    assert_eq!(verdict(Stage::MaybeSent, 1), Verdict::RetryElsewhere);
    assert_eq!(verdict(Stage::MaybeSent, POISON_LOSSES_MAX), Verdict::HoldBack);
    assert_eq!(
        verdict(Stage::Unsent, POISON_LOSSES_MAX),
        Verdict::RetryElsewhere,
        "it was not with this one"
    );
}

#[test]
fn a_connector_nobody_has_is_answered_in_the_members_words() {
    let attempts = Attempts { elsewhere: RETRIES_ELSEWHERE_MAX, ..Attempts::default() };
    assert_eq!(decide(Class::Write, Stage::MaybeSent, Fault::ConnectorNotFound, attempts), Verdict::PassOn);
}

#[test]
fn a_stream_that_ends_cut_everywhere_is_told_as_cut_p13() {
    let tired = Attempts { elsewhere: RETRIES_ELSEWHERE_MAX, ..Attempts::default() };
    let spent = Attempts { budget: Budget::Spent, ..Attempts::default() };
    for attempts in [tired, spent] {
        let verdict = decide(Class::Stream, Stage::MaybeSent, Fault::EndLooksCut, attempts);
        assert_eq!(verdict, Verdict::Answer(ErrorKind::StreamCut));
    }
}

#[test]
fn classes_of_operations() {
    for op in Operation::CALLS {
        let expected = match op.label() {
            "schema" | "validate" | "test" | "get" | "resolve_username" | "latest_sync_token" => {
                Class::PureRead
            }
            "authenticate" => Class::CountedRead,
            "search" | "sync" => Class::Stream,
            "subscribe" | "subscribe_sync" => Class::Subscription,
            _ => Class::Write,
        };
        assert_eq!(Class::of(op, Paging::Starts), expected, "{op}");
    }
    assert_eq!(Class::of(Operation::Search, Paging::Continues), Class::Page);
    assert_eq!(Class::of(Operation::Sync, Paging::Continues), Class::Stream, "sync has no pages");
    assert_eq!(Class::of(Operation::Unknown, Paging::Starts), Class::Write, "the careful reading");
}

#[test]
fn errors_say_what_happened_to_whom_and_what_to_do() {
    let call = Circumstances {
        operation: Operation::Update,
        group: Some("hr-ha"),
        member: Some("n2"),
        quarantine: None,
    };
    for kind in ErrorKind::ALL {
        let error = kind.to_error(&call);
        assert!(
            error.message.contains("update") || kind == ErrorKind::SubscriptionLost,
            "{kind:?}: {}",
            error.message
        );
        assert!(error.message.ends_with('.') && error.message.len() < 300, "{kind:?}: {}", error.message);
        assert!(!error.message.contains("  "), "{kind:?}: {}", error.message);
        let plain = error.class.ends_with(".ConnectorException");
        assert_eq!(
            plain,
            kind.repeatable() == Repeatable::No,
            "{kind:?}: IDM repeats all but ConnectorException"
        );
        assert!(Outcome::ALL.contains(&error.outcome));
    }
    let unknown = ErrorKind::OutcomeUnknown.to_error(&call);
    assert!(unknown.message.starts_with("Outcome unknown: member n2 of group hr-ha"), "{}", unknown.message);
    assert_eq!(unknown.outcome.label(), "unknown");
}
