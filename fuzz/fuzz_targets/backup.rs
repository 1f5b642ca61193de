//! A backup that somebody else made: what is taken is what its manifest says, and no name leads elsewhere.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut taken = BTreeMap::new();
    let found = palisade_backup::read(bytes, |name, content| {
        let read = std::io::copy(content, &mut std::io::sink())?;
        assert!(name.path().is_relative() && !name.as_str().split('/').any(|part| part == ".."));
        assert!(taken.insert(name.clone(), read).is_none());
        Ok(())
    });
    let Ok(manifest) = found else {
        return;
    };
    assert_eq!(manifest.files.len(), taken.len());
    assert!(manifest.files.iter().all(|entry| taken[&entry.name] == entry.bytes));
});
