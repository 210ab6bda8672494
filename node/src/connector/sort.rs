//! Puts objects in the order that a search's sort keys ask for.

use std::cmp::Ordering;

use rcs_proto::icf::{ConnectorObject, SortKey};

use super::filter::natural_order;

/// Sorts by the keys, the first one first. Objects that are equal keep their order; an object without the attribute comes
/// last, whichever the direction; values without an order (secrets) count as equal.
pub fn sort(objects: &mut [ConnectorObject], keys: &[&SortKey]) {
    objects.sort_by(|left, right| {
        keys.iter()
            .map(|key| compare(left, right, key))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
}

fn compare(left: &ConnectorObject, right: &ConnectorObject, key: &SortKey) -> Ordering {
    let value =
        |object: &ConnectorObject| object.attribute(&key.field).and_then(|found| found.first().cloned());
    match (value(left), value(right)) {
        (Some(left), Some(right)) => {
            let order = natural_order(&left, &right).unwrap_or(Ordering::Equal);
            if key.ascending { order } else { order.reverse() }
        }
        (left, right) => right.is_some().cmp(&left.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use rcs_proto::icf::{Attribute, ConnectorObject, ObjectClass, SortKey, UID};

    use super::sort;

    fn sorted(keys: &[(&str, bool)]) -> Vec<String> {
        let mut objects: Vec<_> = [("1", Some("b"), "x"), ("2", None, "y"), ("3", Some("a"), "x")]
            .map(|(uid, name, group)| ConnectorObject {
                object_class: ObjectClass(ObjectClass::ACCOUNT.to_owned()),
                attributes: [Attribute::text(UID, uid), Attribute::text("group", group)]
                    .into_iter()
                    .chain(name.map(|name| Attribute::text("name", name)))
                    .collect(),
            })
            .to_vec();
        let keys: Vec<_> = keys
            .iter()
            .map(|(field, ascending)| SortKey { field: (*field).into(), ascending: *ascending })
            .collect();
        sort(&mut objects, &keys.iter().collect::<Vec<_>>());
        objects
            .iter()
            .filter_map(|object| object.attribute(UID)?.first()?.as_str().map(str::to_owned))
            .collect()
    }

    #[test]
    fn keys_count_in_their_order_and_missing_values_come_last() {
        assert_eq!(sorted(&[("name", true)]), ["3", "1", "2"]);
        assert_eq!(sorted(&[("name", false)]), ["1", "3", "2"]);
        assert_eq!(sorted(&[("group", false), ("NAME", true)]), ["2", "3", "1"]);
        assert_eq!(sorted(&[("group", true)]), ["1", "3", "2"], "equal objects keep their order");
        assert_eq!(sorted(&[("nosuch", false)]), ["1", "2", "3"]);
    }
}
