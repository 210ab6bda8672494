//! Search filters.

use super::{Convert, text, unexpected};
use crate::icf::{Attribute, Filter};
use crate::legacy::error::LegacyError;
use crate::legacy::tree::{Node, Object};

impl Convert for Filter {
    fn to_node(&self) -> Node<'_> {
        let with =
            |name: &str, attribute| Object::new(name).object("attribute", Attribute::to_node(attribute));
        let object = match self {
            Filter::And(left, right) => of("AndFilter", &[left, right]),
            Filter::Or(left, right) => of("OrFilter", &[left, right]),
            Filter::Not(inner) => of("NotFilter", &[inner]),
            Filter::Equals(attribute) => with("EqualsFilter", attribute),
            Filter::ContainsAllValues(attribute) => with("ContainsAllValuesFilter", attribute),
            Filter::Contains(attribute) => with("ContainsFilter", attribute),
            Filter::StartsWith(attribute) => with("StartsWithFilter", attribute),
            Filter::EndsWith(attribute) => with("EndsWithFilter", attribute),
            Filter::GreaterThan(attribute) => with("GreaterThanFilter", attribute),
            Filter::GreaterThanOrEqual(attribute) => with("GreaterThanOrEqualFilter", attribute),
            Filter::LessThan(attribute) => with("LessThanFilter", attribute),
            Filter::LessThanOrEqual(attribute) => with("LessThanOrEqualFilter", attribute),
            Filter::Extended { operator, attribute } => {
                with("ExtendedMatchFilter", attribute).text("operator", operator)
            }
            Filter::Presence(name) => Object::new("PresenceFilter").text("name", name),
        };
        object.into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let Node::Object(object) = node else { return Err(unexpected("a filter", node)) };
        let attribute = || Attribute::from_node(object.get("attribute"));
        Ok(match object.type_name() {
            "AndFilter" => {
                let (left, right) = two(object)?;
                Filter::And(left, right)
            }
            "OrFilter" => {
                let (left, right) = two(object)?;
                Filter::Or(left, right)
            }
            "NotFilter" => Filter::Not(member(object, 0)?),
            "EqualsFilter" => Filter::Equals(attribute()?),
            "ContainsAllValuesFilter" => Filter::ContainsAllValues(attribute()?),
            "ContainsFilter" => Filter::Contains(attribute()?),
            "StartsWithFilter" => Filter::StartsWith(attribute()?),
            "EndsWithFilter" => Filter::EndsWith(attribute()?),
            "GreaterThanFilter" => Filter::GreaterThan(attribute()?),
            "GreaterThanOrEqualFilter" => Filter::GreaterThanOrEqual(attribute()?),
            "LessThanFilter" => Filter::LessThan(attribute()?),
            "LessThanOrEqualFilter" => Filter::LessThanOrEqual(attribute()?),
            "ExtendedMatchFilter" => {
                Filter::Extended { operator: text(object, "operator")?, attribute: attribute()? }
            }
            "PresenceFilter" => Filter::Presence(text(object, "name")?),
            _ => return Err(unexpected("a filter", node)),
        })
    }
}

fn of<'a>(type_name: &str, filters: &[&'a Filter]) -> Object<'a> {
    Object::new(type_name).with_members(filters.iter().map(|filter| filter.to_node()).collect())
}

fn two(object: &Object<'_>) -> Result<(Box<Filter>, Box<Filter>), LegacyError> {
    Ok((member(object, 0)?, member(object, 1)?))
}

fn member(object: &Object<'_>, index: usize) -> Result<Box<Filter>, LegacyError> {
    let node = object.members().get(index).unwrap_or(&Node::Null);
    Filter::from_node(node).map(Box::new)
}
