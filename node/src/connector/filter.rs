//! Evaluates a search filter on an object, as the ICF framework does around every connector.
//!
//! The framework knows three answers: a comparison with an attribute that the object does not have is *undefined*, and
//! undefined stays undefined under `Not` (observed: `not(nosuch = x)` finds nothing). When the configuration switches
//! the framework's filtering off (`filtered: false`), a connector's own two-valued logic is left, in which that
//! comparison is simply false. Values are read once, and no value ever appears in an error (P9).

use std::cmp::Ordering;

use rcs_proto::icf::{Attribute, ConnectorObject, Filter, ResultsHandlers, Value};

use crate::error::{ErrorClass, IcfError};

/// How texts compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` is not `A`.
    Sensitive,
    /// `a` is `A` (`enableCaseInsensitiveFilter`).
    Insensitive,
}

/// What a comparison with a missing attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The framework's third answer.
    Undefined,
    /// Two-valued logic.
    False,
}

/// The rules under which filters are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterRules {
    /// How texts compare.
    pub case: Case,
    /// What a missing attribute means.
    pub missing: Missing,
}

impl FilterRules {
    /// The rules that a configuration's result handlers ask for; none means the framework's defaults.
    pub fn of(handlers: Option<&ResultsHandlers>) -> Self {
        let handlers = handlers.cloned().unwrap_or_default();
        Self {
            case: if handlers.case_insensitive_filter { Case::Insensitive } else { Case::Sensitive },
            missing: if handlers.filtered { Missing::Undefined } else { Missing::False },
        }
    }

    /// Whether `object` passes `filter`. An undefined answer does not pass.
    ///
    /// # Errors
    /// `ClassCastException` when values of different types are put in order, `UnsupportedOperationException` for an
    /// operator of another connector's own.
    pub fn accepts(self, filter: &Filter, object: &ConnectorObject) -> Result<bool, IcfError> {
        Ok(self.evaluate(filter, object)? == Truth::True)
    }

    fn evaluate(self, filter: &Filter, object: &ConnectorObject) -> Result<Truth, IcfError> {
        match filter {
            Filter::And(left, right) => match self.evaluate(left, object)? {
                Truth::False => Ok(Truth::False),
                left => Ok(left.and(self.evaluate(right, object)?)),
            },
            Filter::Or(left, right) => match self.evaluate(left, object)? {
                Truth::True => Ok(Truth::True),
                left => Ok(left.or(self.evaluate(right, object)?)),
            },
            Filter::Not(inner) => Ok(self.evaluate(inner, object)?.not()),
            Filter::Presence(name) => Ok(Truth::from(values(object, name).is_some())),
            Filter::Equals(wanted) => self.compare(object, wanted, |has| self.all_equal(has, wanted)),
            Filter::ContainsAllValues(wanted) => self.compare(object, wanted, |has| {
                let wanted = wanted.values.as_deref().unwrap_or_default();
                wanted.iter().all(|value| has.iter().any(|other| self.same(value, other)))
            }),
            Filter::Contains(wanted) => self.texts(object, wanted, |has, part| has.contains(part)),
            Filter::StartsWith(wanted) => self.texts(object, wanted, |has, part| has.starts_with(part)),
            Filter::EndsWith(wanted) => self.texts(object, wanted, |has, part| has.ends_with(part)),
            Filter::GreaterThan(wanted) => self.order(object, wanted, Ordering::is_gt),
            Filter::GreaterThanOrEqual(wanted) => self.order(object, wanted, Ordering::is_ge),
            Filter::LessThan(wanted) => self.order(object, wanted, Ordering::is_lt),
            Filter::LessThanOrEqual(wanted) => self.order(object, wanted, Ordering::is_le),
            Filter::Extended { operator, .. } => Err(IcfError::new(
                ErrorClass::UnsupportedOperation,
                format!("this connector has no filter operator {operator:?}"),
            )),
        }
    }

    fn compare(
        self,
        object: &ConnectorObject,
        wanted: &Attribute,
        test: impl FnOnce(&[Value]) -> bool,
    ) -> Result<Truth, IcfError> {
        Ok(match values(object, &wanted.name) {
            Some(has) => Truth::from(test(has)),
            None if self.missing == Missing::False => Truth::False,
            None => Truth::Undefined,
        })
    }

    fn all_equal(self, has: &[Value], wanted: &Attribute) -> bool {
        wanted.values.as_ref().is_some_and(|wanted| {
            has.len() == wanted.len() && has.iter().zip(wanted).all(|(left, right)| self.same(left, right))
        })
    }

    fn same(self, left: &Value, right: &Value) -> bool {
        match (self.case, left, right) {
            (Case::Insensitive, Value::String(left), Value::String(right)) => fold(left) == fold(right),
            _ => left == right,
        }
    }

    fn texts(
        self,
        object: &ConnectorObject,
        wanted: &Attribute,
        test: impl Fn(&str, &str) -> bool,
    ) -> Result<Truth, IcfError> {
        let part = wanted.first().and_then(Value::as_str);
        self.compare(object, wanted, |has| match (has, part) {
            ([Value::String(text)], Some(part)) if self.case == Case::Insensitive => {
                test(&fold(text), &fold(part))
            }
            ([Value::String(text)], Some(part)) => test(text, part),
            _ => false,
        })
    }

    fn order(
        self,
        object: &ConnectorObject,
        wanted: &Attribute,
        test: impl FnOnce(Ordering) -> bool,
    ) -> Result<Truth, IcfError> {
        let mut failure = None;
        let truth = self.compare(object, wanted, |has| match (has, wanted.first()) {
            ([has], Some(wanted)) => match self.ordering(has, wanted) {
                Some(order) => test(order),
                None => {
                    failure = Some(IcfError::new(
                        ErrorClass::ClassCast,
                        "a filter puts values of different types in order; compare with the attribute's type",
                    ));
                    false
                }
            },
            _ => false,
        })?;
        failure.map_or(Ok(truth), Err)
    }

    fn ordering(self, left: &Value, right: &Value) -> Option<Ordering> {
        match (self.case, left, right) {
            (Case::Insensitive, Value::String(left), Value::String(right)) => {
                Some(fold(left).cmp(&fold(right)))
            }
            _ => natural_order(left, right),
        }
    }
}

/// The order of two values of one type; `None` for types that have none, or that differ.
pub fn natural_order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Long(left), Value::Long(right)) => Some(left.cmp(right)),
        (Value::Byte(left), Value::Byte(right)) => Some(left.cmp(right)),
        (Value::Character(left), Value::Character(right)) => Some(left.cmp(right)),
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => Some(left.total_cmp(right)),
        (Value::Double(left), Value::Double(right)) => Some(left.total_cmp(right)),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Undefined,
}

impl From<bool> for Truth {
    fn from(known: bool) -> Self {
        if known { Self::True } else { Self::False }
    }
}

impl Truth {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Undefined,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Undefined => Self::Undefined,
        }
    }
}

/// The values of an attribute that the object really has.
fn values<'a>(object: &'a ConnectorObject, name: &str) -> Option<&'a [Value]> {
    object.attribute(name)?.values.as_deref()
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
