//! The messages that no peer sends (WIRE 3.3): fields stand where the table says, and what is written is read back.

use prost::Message;
use rcs_proto::messages::declared::*;
use rcs_proto::messages::{ConnectorKey, Locale, Uid};

use crate::vectors::hex;

#[test]
fn fields_have_the_numbers_of_the_table() {
    let cases = [
        (hex(&SortKey { field: "a".into(), is_ascending: true }.encode_to_vec()), "0a01611001"),
        (hex(&BigDecimal { unscaled: "7".into(), scale: 2 }.encode_to_vec()), "0a01371002"),
        (hex(&ApiConfiguration { producer_buffer_size: 8, ..Default::default() }.encode_to_vec()), "4008"),
        (hex(&PresenceFilter { name: "a".into() }.encode_to_vec()), "0a0161"),
        (
            hex(&ObjectPoolConfiguration { max_wait: 5, min_idle: 1, ..Default::default() }.encode_to_vec()),
            "18052801",
        ),
        (hex(&OperationOptionMapFieldEntry { is_array: true, ..Default::default() }.encode_to_vec()), "1801"),
    ];
    for (written, expected) in cases {
        assert_eq!(written, expected);
    }
}

#[test]
fn a_nested_filter_is_read_back() {
    let mail =
        || AttributeUnionValue { value: Some(attribute_union_value::Value::StringValue("bob".into())) };
    let less = LessThanFilter { name: "mail".into(), value: Some(mail()) };
    let less = FilterUnionMessage { filter: Some(filter_union_message::Filter::LessThanFilter(less)) };
    let not = NotFilter { sub_filter: Some(Box::new(less.clone())) };
    let not = FilterUnionMessage { filter: Some(filter_union_message::Filter::NotFilter(Box::new(not))) };
    let and = AndFilter { sub_filters: vec![less, not] };
    let filter = FilterUnionMessage { filter: Some(filter_union_message::Filter::AndFilter(and)) };
    assert_eq!(FilterUnionMessage::decode(filter.encode_to_vec().as_slice()).unwrap(), filter);
}

#[test]
fn a_connector_info_is_read_back() {
    let texts = vec![StringMapFieldEntry { key: "host.display".into(), value: "Host".into() }];
    let catalog = CatalogMapFieldEntry { key: Some(Locale::default()), value: texts };
    let timeout =
        api_configuration::TimeoutMapFieldEntry { key: ApiOperation::Searchapiop.into(), value: -1 };
    let property = ConfigurationProperty {
        order: 1,
        name: "host".into(),
        operations: vec![SpiOperation::Updateop.into()],
        ..Default::default()
    };
    let info = ConnectorInfo {
        connector_display_name_key: "display".into(),
        connector_category_key: String::new(),
        connector_key: Some(ConnectorKey { bundle_name: "b".into(), ..Default::default() }),
        connector_messages: Some(ConnectorMessages { catalogs: vec![catalog] }),
        api_configuration: Some(ApiConfiguration {
            timeout_map: vec![timeout],
            configuration_properties: vec![property],
            supported_operations: vec![ApiOperation::Validateapiop.into()],
            ..Default::default()
        }),
    };
    assert_eq!(ConnectorInfo::decode(info.encode_to_vec().as_slice()).unwrap(), info);
}

#[test]
fn a_qualified_uid_shares_the_uid_in_use() {
    let uid = Uid { value: "u".into(), revision: String::new() };
    let qualified = QualifiedUid { object_class: "x".into(), uid: Some(uid) };
    assert_eq!(hex(&qualified.encode_to_vec()), "0a017812030a0175");
}
