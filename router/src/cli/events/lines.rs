//! The lines of a stream of server-sent events (HTML standard, section 9.2).

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// How far the stream is with this event.
    pub(super) id: String,
    /// What kind of event it is.
    pub(super) kind: String,
    /// Its content in JSON.
    pub(super) data: String,
}

/// Collects the lines of events. An id stays in force until the next one.
#[derive(Debug, Default)]
pub(super) struct Lines(Event);

impl Lines {
    /// Takes one line without its end. Returns the event that ends with the line, if one does.
    pub(super) fn take(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let (kind, data) = (std::mem::take(&mut self.0.kind), std::mem::take(&mut self.0.data));
            let id = self.0.id.clone();
            return (!data.is_empty()).then_some(Event { id, kind, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.0.id),
            "event" => value.clone_into(&mut self.0.kind),
            // A router writes one such line an event; further ones would be parts of one text.
            "data" if self.0.data.is_empty() => value.clone_into(&mut self.0.data),
            // A comment, such as a heartbeat, or a field of another version.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_events_and_comments_do_not() {
        let text = ": heartbeat\n\nid: 1-0-0\nevent: start\ndata: {\"a\": 1}\n\nevent:member\nretry: 5\ndata:{}\n\nid: 9\n\ndata";
        let mut lines = Lines::default();
        let events: Vec<Event> = text.split('\n').filter_map(|line| lines.take(line)).collect();
        let event = |id: &str, kind: &str, data: &str| Event {
            id: id.to_owned(),
            kind: kind.to_owned(),
            data: data.to_owned(),
        };
        assert_eq!(events, [event("1-0-0", "start", "{\"a\": 1}"), event("1-0-0", "member", "{}")]);
    }
}
