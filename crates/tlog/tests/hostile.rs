//! Whatever is read comes from somebody who may wish harm: it is refused or read, and nothing panics.

use palisade_tlog::{Checkpoint, Note, NoteKey, Receipt, Tile, Trust, check_bundle};
use proptest::prelude::*;

const RECEIPT: &str = "c2sp.org/tlog-proof@v1\nextra AAEC\nindex 0\n\
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nlog\n2\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    \u{2014} log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
const BUNDLE: &str = "{\"bundle\":\"palisade-ledger-bundle/1\",\"from\":1,\"to\":2,\"checkpoint\":\"log\\n2\\n\
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\\n\\n\u{2014} log AAAAAAAA\\n\",\"before\":[],\"after\":[]}\n\
    {\"seq\":1,\"entry\":\"{}\"}\n";

fn read(text: &str) {
    let _ = check_bundle(text.as_bytes(), &Trust::default());
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
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in ".{0,300}") {
        read(&text);
    }

    #[test]
    fn a_good_file_with_something_else_in_it_is_read_without_harm(
        at in 0..400usize, length in 0..9usize, other in ".{0,9}", bundle: bool,
    ) {
        let good = if bundle { BUNDLE } else { RECEIPT };
        let chars: Vec<char> = good.chars().collect();
        let at = at % chars.len();
        let end = (at + length).min(chars.len());
        let text: String = chars[..at].iter().copied().chain(other.chars()).chain(chars[end..].iter().copied()).collect();
        read(&text);
    }
}

#[test]
fn the_good_files_are_read() {
    let receipt: Receipt = RECEIPT.parse().expect("reads");
    assert_eq!(receipt.to_string(), RECEIPT);
    let refused =
        check_bundle(BUNDLE.as_bytes(), &Trust::default()).expect_err("nobody is trusted");
    assert!(
        refused.to_string().contains("no key that is trusted"),
        "{refused}"
    );
}
