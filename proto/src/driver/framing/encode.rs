//! Frames outwards: always whole messages, since a Grizzly acceptor loses fragments (WIRE 1.2).

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use super::{Opcode, Role, apply_mask};

/// Appends a final frame of `opcode` with `payload` to `out`; a client's payload is masked in its copy.
pub(crate) fn frame_into(out: &mut Vec<u8>, role: Role, opcode: Opcode, payload: &[u8]) {
    let mask = header_into(out, role, opcode, payload.len());
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[start..], mask);
    }
}

/// Appends only the header of a final frame, and returns the mask that a client must apply to the payload.
///
/// Masks protect careless HTTP caches from scripts in browsers; our peers are neither, so a fast generator is enough.
pub(crate) fn header_into(out: &mut Vec<u8>, role: Role, opcode: Opcode, len: usize) -> Option<[u8; 4]> {
    let mask = (role == Role::Client).then(|| fastrand::u32(..).to_ne_bytes());
    let header = FrameHeader { opcode: opcode.to_wire(), mask, ..FrameHeader::default() };
    header.format(len as u64, out).expect("a vector takes every write");
    mask
}

/// The payload of a Close frame: its code, or nothing where there is none to tell.
pub(crate) fn close_payload(code: Option<u16>) -> Vec<u8> {
    code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default()
}
