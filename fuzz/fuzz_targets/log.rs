//! What a verifier of the ledger reads: notes, checkpoints, keys, proofs, paths of tiles, bundles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_tlog::{Checkpoint, Note, NoteKey, Receipt, Tile, Trust, check_bundle};

fuzz_target!(|data: &[u8]| {
    let _ = check_bundle(data, &Trust::default());
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = Checkpoint::parse(text);
    let _ = text.parse::<NoteKey>();
    if let Ok(note) = text.parse::<Note>() {
        assert_eq!(note.to_string().parse::<Note>(), Ok(note));
    }
    if let Ok(receipt) = text.parse::<Receipt>() {
        let _ = receipt.check(&Trust::default());
    }
    if let Ok(tile) = text.parse::<Tile>() {
        assert_eq!(tile.to_string(), text);
    }
});
