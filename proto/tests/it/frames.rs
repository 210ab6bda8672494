//! Every frame that real Java peers exchanged: its messages and the legacy blobs in them come out as they went in.

use std::fs;

use bytes::Bytes;
use prost::Message;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::icf::{
    Attribute, ConfigurationProperty, ConnectorInfo, ConnectorKey, ConnectorObject, Filter, OperationOptions,
    Schema, Value,
};
use rcs_proto::legacy::{Wire, facade_key};
use rcs_proto::messages as pb;
use serde_json::Value as Json;

use crate::vectors::{files, hex, unhex};

#[test]
fn every_captured_frame_and_its_blobs_come_out_as_they_went_in() {
    let (mut frames, mut blobs) = (0, 0);
    for path in files("frames") {
        for (line, text) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let record: Json = serde_json::from_str(text).unwrap();
            if record["op"] != "binary" {
                continue;
            }
            let place = format!("{} line {}", path.file_name().unwrap().display(), line + 1);
            let frame = unhex(record["hex"].as_str().unwrap());
            let message = pb::RemoteMessage::decode(frame.as_slice()).unwrap();
            assert_eq!(hex(&message.encode_to_vec()), hex(&frame), "{place}");
            frames += 1;
            blobs += Blobs { place }.of(message);
        }
    }
    assert_eq!(frames, 378);
    // As many as there are magic numbers in the frames, 77 of them in base64.
    assert_eq!(blobs, 230);
}

#[test]
fn every_captured_call_takes_another_connector_version_and_keeps_the_rest() {
    let (mut calls, mut others) = (0, 0);
    for path in files("frames") {
        for text in fs::read_to_string(&path).unwrap().lines() {
            let record: Json = serde_json::from_str(text).unwrap();
            if record["op"] != "binary" {
                continue;
            }
            let frame = Bytes::from(unhex(record["hex"].as_str().unwrap()));
            let envelope = Envelope::parse(frame.clone()).unwrap();
            let Kind::Operation(head) = &envelope.kind else {
                let key = stand_in(&Default::default());
                assert_eq!(envelope.rewrite_id_and_connector(1, &key), None);
                others += 1;
                continue;
            };
            let mut wanted = pb::RemoteMessage::decode(frame.clone()).unwrap();
            wanted.message_id = 77_777;
            let operation = wanted.request.as_mut().unwrap().operation.as_mut().unwrap();
            let Some(key) = &mut operation.connector_key else {
                assert_eq!(head.connector(), None);
                continue;
            };
            let new = stand_in(key);
            key.bundle_version = new.bundle_version.clone();
            let rewritten = envelope.rewrite_id_and_connector(77_777, &new).unwrap();
            assert_eq!(hex(&rewritten), hex(&wanted.encode_to_vec()));
            let back = Envelope::parse(rewritten).unwrap();
            let back = back.rewrite_id_and_connector(envelope.message_id, &head.connector().unwrap());
            assert_eq!(hex(&back.unwrap()), hex(&frame));
            calls += 1;
        }
    }
    assert_eq!((calls, others), (77, 301));
}

/// The next version of a connector, two digits longer.
fn stand_in(key: &pb::ConnectorKey) -> ConnectorKey {
    ConnectorKey {
        bundle_name: key.bundle_name.clone(),
        bundle_version: format!("{}.1", key.bundle_version),
        connector_name: key.connector_name.clone(),
    }
}

/// Checks the blobs of one frame and counts them.
struct Blobs {
    place: String,
}

impl Blobs {
    fn of(&self, message: pb::RemoteMessage) -> usize {
        let request = message.request.and_then(|request| request.operation);
        let response = message.response.unwrap_or_default();
        let infos = response.control.map(|control| control.connector_infos).unwrap_or_default();
        self.blob::<Vec<ConnectorInfo>>(&infos)
            + request.map_or(0, |request| self.request(request))
            + response.operation.map_or(0, |response| self.response(response))
    }

    fn request(&self, request: pb::OperationRequest) -> usize {
        let key = &request.connector_facade_key;
        let mut count = 0;
        if !key.is_empty() {
            let configuration =
                facade_key::decode(key).unwrap_or_else(|error| panic!("{}: {error}", self.place));
            assert_eq!(facade_key::encode(&configuration), key, "{}: facade key", self.place);
            count += 1;
        }
        let options = |options: &Bytes| self.blob::<OperationOptions>(options);
        if let Some(call) = &request.authenticate {
            count += self.blob::<Value>(&call.password) + options(&call.options);
        }
        if let Some(call) = &request.create {
            count += self.blob::<Vec<Attribute>>(&call.create_attributes) + options(&call.options);
        }
        if let Some(call) = &request.delete {
            count += options(&call.options);
        }
        if let Some(call) = &request.get {
            count += options(&call.options);
        }
        if let Some(call) = &request.resolve_username {
            count += options(&call.options);
        }
        for (context, blob) in [
            request.script_on_connector.map(|call| (call.script_context, call.options)),
            request.script_on_resource.map(|call| (call.script_context, call.options)),
        ]
        .into_iter()
        .flatten()
        {
            count += self.blob::<Value>(&context.unwrap_or_default().script_arguments) + options(&blob);
        }
        if let Some(call) = &request.search {
            count += self.blob::<Filter>(&call.filter) + options(&call.options);
        }
        if let Some(call) = request.sync.and_then(|call| call.sync) {
            count += self.token(call.token) + options(&call.options);
        }
        if let Some(call) = request.sync_event_subscription {
            count += self.token(call.token) + options(&call.options);
        }
        if let Some(call) = &request.connector_event_subscription {
            count += self.blob::<Filter>(&call.event_filter) + options(&call.options);
        }
        if let Some(call) = &request.update {
            count += self.blob::<Vec<Attribute>>(&call.replace_attributes) + options(&call.options);
        }
        if let Some(event) = &request.configuration_change {
            count += self.blob::<Vec<ConfigurationProperty>>(&event.configuration_property_change);
        }
        if let Some(call) = &request.batch {
            count += options(&call.options);
        }
        count
    }

    fn response(&self, response: pb::OperationResponse) -> usize {
        let mut count = 0;
        if let Some(answer) = &response.get {
            count += self.blob::<ConnectorObject>(&answer.connector_object);
        }
        if let Some(answer) = &response.schema {
            count += self.blob::<Schema>(&answer.schema);
        }
        if let Some(answer) = &response.script_on_connector {
            count += self.blob::<Value>(&answer.object);
        }
        if let Some(answer) = &response.script_on_resource {
            count += self.blob::<Value>(&answer.object);
        }
        if let Some(object) = response.search.and_then(|answer| answer.connector_object) {
            count += self.blob::<Vec<Attribute>>(&object.attributes);
        }
        if let Some(answer) = response.sync {
            let sync = answer.sync.unwrap_or_default();
            let latest = answer.latest_sync_token.unwrap_or_default();
            count +=
                self.token(sync.sync_token) + self.token(latest.sync_token) + self.delta(sync.sync_delta);
        }
        if let Some(answer) = response.sync_event_subscription {
            count += self.delta(answer.sync_delta);
        }
        count
    }

    fn delta(&self, delta: Option<pb::SyncDelta>) -> usize {
        let delta = delta.unwrap_or_default();
        self.token(delta.token) + self.blob::<Vec<Attribute>>(&delta.connector_object)
    }

    fn token(&self, token: Option<pb::SyncToken>) -> usize {
        self.blob::<Value>(&token.unwrap_or_default().value)
    }

    fn blob<T: Wire>(&self, blob: &Bytes) -> usize {
        if blob.is_empty() {
            return 0;
        }
        let value = T::decode(blob).unwrap_or_else(|error| panic!("{}: {error}", self.place));
        assert_eq!(hex(&value.encode()), hex(blob), "{}", self.place);
        1
    }
}
