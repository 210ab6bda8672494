//! The ids of our requests (WIRE 4.3: one counter for calls and control).

/// The ids that a session gives to its requests: `start`, `start + step`, `start + 2 * step` and so on.
///
/// A peer refuses a request whose id is in use (WIRE 4.3), and an answer names nothing but the id. So routers that show a peer the
/// same sessionId take ids of different classes: router `n` of at most `m` takes [`Ids::class`]`(n, m)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    step: i64,
    /// The last id that was given; no id up to it is given any more.
    last: i64,
    /// The next one: the least id of the class that is above `last`. None if there is no such number.
    next: Option<i64>,
}

impl Ids {
    /// Every id from 1 on: for an end that shares its sessionId with nobody.
    pub const EVERY: Ids = Ids::class(1, 1);

    /// One class of `step` classes that have no id in common.
    ///
    /// # Panics
    /// If `start` is not one of `1..=step`: each class has one name only, so that two routers see whether they took the same one.
    pub const fn class(start: i64, step: i64) -> Self {
        assert!(1 <= start && start <= step, "a class of ids starts at 1 or above, and not above its step");
        Self { step, last: 0, next: Some(start) }
    }

    /// Gives none of the ids up to this one any more.
    pub(super) fn go_on_after(&mut self, last: i64) {
        if last <= self.last {
            return;
        }
        self.last = last;
        if let Some(next) = self.next
            && next <= last
        {
            // Up to the first of the class that is above: 1 to `step` further than `last`.
            self.next = last.checked_add(self.step - (last - next) % self.step);
        }
    }

    /// The last id that was given, or is not to be given.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// An id that was never given before, above all that were.
    ///
    /// # Panics
    /// When the numbers end. At a million ids a second and 1,024 classes that takes 285 years.
    pub(super) fn next(&mut self) -> i64 {
        let id =
            self.next.expect("the session has given its last id: no id above 2^63 - 1 exists on the wire");
        self.last = id;
        self.next = id.checked_add(self.step);
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// What may happen to the ids of one class.
    #[derive(Clone, Debug)]
    enum Step {
        Next,
        GoOnAfter(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
        let near = (0i64..200).prop_map(Step::GoOnAfter);
        let far = (i64::MIN..i64::MAX / 2).prop_map(Step::GoOnAfter);
        let step = prop_oneof![8 => Just(Step::Next), 3 => near, 1 => far];
        // Which class is meant is taken modulo their number.
        proptest::collection::vec((0i64..1_000, step), 0..200)
    }

    proptest! {
        #[test]
        fn no_two_classes_and_no_two_requests_share_an_id(step in 1i64..20, steps in steps()) {
            let mut classes: Vec<Ids> = (1..=step).map(|start| Ids::class(start, step)).collect();
            let mut given = HashSet::new();
            for (which, what) in steps {
                let index = which % step;
                let ids = &mut classes[index as usize];
                let floor = ids.last();
                match what {
                    Step::Next => {
                        let id = ids.next();
                        prop_assert!(id > floor, "{id} does not rise above {floor}");
                        prop_assert!(id - floor <= step, "an id of the class between {floor} and {id} was left out");
                        prop_assert_eq!((id - 1) % step, index);
                        prop_assert_eq!(ids.last(), id);
                        prop_assert!(given.insert(id), "{} was given twice", id);
                    }
                    Step::GoOnAfter(last) => {
                        ids.go_on_after(last);
                        prop_assert_eq!(ids.last(), floor.max(last), "never back");
                    }
                }
            }
        }
    }

    #[test]
    fn a_class_goes_on_with_its_first_id_above() {
        for (start, step, after, next) in [
            (2, 5, 0, 2),
            (2, 5, 1, 2),
            (2, 5, 2, 7),
            (2, 5, 6, 7),
            (2, 5, 7, 12),
            (5, 5, 4, 5),
            (5, 5, 5, 10),
            (1, 1, 41, 42),
            (1, 1, -41, 1),
        ] {
            let mut ids = Ids::class(start, step);
            ids.go_on_after(after);
            assert_eq!(ids.next(), next, "class {start} of {step} after {after}");
        }
    }

    #[test]
    fn the_last_number_is_given_and_none_behind_it() {
        let mut ids = Ids::class(7, 10);
        ids.go_on_after(i64::MAX - 1);
        assert_eq!((i64::MAX % 10, ids.next()), (7, i64::MAX));
        assert_eq!(ids.last(), i64::MAX);
        ids.go_on_after(i64::MAX);
        assert_eq!(ids.next, None);
        let mut ids = Ids::class(6, 10);
        ids.go_on_after(i64::MAX - 1);
        assert_eq!((ids.next, ids.last()), (None, i64::MAX - 1));
        let mut ids = Ids::class(1, i64::MAX);
        assert_eq!((ids.next(), ids.next), (1, None));
    }

    #[test]
    #[should_panic(expected = "the session has given its last id")]
    fn an_id_beyond_the_numbers_is_a_clear_failure_and_never_an_old_id() {
        let mut ids = Ids::EVERY;
        ids.go_on_after(i64::MAX);
        ids.next();
    }

    #[test]
    #[should_panic(expected = "not above its step")]
    fn a_class_beyond_its_step_is_refused() {
        Ids::class(6, 5);
    }
}
