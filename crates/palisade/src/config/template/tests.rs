//! Makes the template from the types, and holds the file to it.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use super::*;

/// The fields of every struct that is found in source text: documentation, name, type.
type Structs = BTreeMap<String, Vec<(Vec<String>, String, String)>>;

fn collect(directory: &Path, structs: &mut Structs) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, structs);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read_structs(&std::fs::read_to_string(&path).expect("reads"), structs);
        }
    }
}

fn read_structs(text: &str, structs: &mut Structs) {
    let (mut current, mut docs): (Option<String>, Vec<String>) = (None, Vec::new());
    for line in text.lines() {
        let line = line.trim();
        if let Some(rest) = line.split_once("struct ").map(|(_, rest)| rest)
            && line.ends_with('{')
            && !line.starts_with("//")
        {
            let name = rest.trim_end_matches([' ', '{']).to_owned();
            structs.insert(name.clone(), Vec::new());
            current = Some(name);
        } else if line == "}" {
            current = None;
        } else if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim().to_owned());
            continue;
        } else if let (Some(name), Some((field, kind))) = (&current, line.split_once(": ")) {
            let field = field.rsplit(' ').next().unwrap_or_default().to_owned();
            let kind = kind.trim_end_matches(',').to_owned();
            let fields = structs.get_mut(name).expect("inserted");
            fields.push((std::mem::take(&mut docs), field, kind));
        }
        if !line.starts_with("#[") {
            docs.clear();
        }
    }
}

fn comment(out: &mut String, docs: &[String]) {
    // A line that is read as one of ours must not come from prose.
    for line in docs {
        writeln!(out, "# {}", line.replace(" =", "=")).expect("writes");
    }
}

fn section(out: &mut String, structs: &Structs, kind: &str, path: &str, values: &Table) {
    writeln!(out, "\n[{path}]").expect("writes");
    let fields = structs.get(kind).unwrap_or_else(|| panic!("struct {kind}"));
    let nested = |kind: &String| structs.contains_key(kind);
    for (docs, name, kind) in fields {
        if nested(kind) {
            continue;
        }
        comment(out, docs);
        match values.get(name) {
            Some(value) => writeln!(out, "{name} = {}", inline(value).expect("TOML")),
            None => writeln!(out, "#{name} ="),
        }
        .expect("writes");
    }
    for (docs, name, kind) in fields.iter().filter(|(_, _, kind)| nested(kind)) {
        let values = values[name].as_table().expect("a table");
        out.push('\n');
        comment(out, docs);
        // The heading follows its own comment.
        let mut inner = String::new();
        section(&mut inner, structs, kind, &format!("{path}.{name}"), values);
        out.push_str(inner.trim_start());
    }
}

/// A section of tables that operators name: what keys they have is said, and none is set.
fn named_tables(out: &mut String, structs: &Structs, kind: &str, path: &str) {
    writeln!(out, "[{path}]").expect("writes");
    for (docs, name, _) in &structs[kind] {
        comment(out, &[format!("{name}: {}", docs.join(" "))]);
    }
}

fn generate() -> String {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut structs = Structs::new();
    for name in [
        "palisade", "gateway", "api", "people", "detect", "export", "respond", "ledger", "vault",
        "keys",
    ] {
        collect(&crates.join(name).join("src"), &mut structs);
    }
    let values = Table::try_from(Config::default()).expect("TOML");
    let mut out = String::from(
        "# Palisade's configuration. Every key stands here with its default; what is left out keeps it.\n\
         # A variable of the environment overrides a key: PALISADE_GATEWAY__LISTEN=127.0.0.1:8883.\n",
    );
    for (docs, name, kind) in &structs["Config"] {
        out.push('\n');
        comment(&mut out, docs);
        if kind == "ExportsConfig" {
            named_tables(&mut out, &structs, "ExportConfig", name);
            continue;
        }
        let mut inner = String::new();
        let values = values[name].as_table().expect("a table");
        section(&mut inner, &structs, kind, name, values);
        out.push_str(inner.trim_start());
    }
    out
}

#[test]
fn the_template_has_every_key_with_its_comment_and_default() {
    let wanted = generate();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/defaults.toml");
    if std::env::var_os("UPDATE_DEFAULTS").is_some() {
        std::fs::write(&path, &wanted).expect("writes");
    }
    let found = std::fs::read_to_string(&path).expect("reads");
    assert!(
        found == wanted,
        "defaults.toml is not current: run UPDATE_DEFAULTS=1 cargo test -p palisade template"
    );
}

#[test]
fn the_template_parses_to_the_defaults() {
    let config: Config = toml::from_str(DEFAULTS).expect("parses");
    assert_eq!(config, Config::default());
}

#[test]
fn every_key_is_documented() {
    let mut before = "";
    for line in DEFAULTS.lines() {
        if let Line::Key(key) = read_line(line) {
            assert!(before.starts_with("# "), "{key} has no comment");
        }
        before = line;
    }
}

#[test]
fn a_rendered_configuration_reads_back() {
    let mut config = Config::default();
    config.gateway.insecure_loopback = Some(([127, 0, 0, 1], 1883).into());
    config.gateway.insecure_principal = palisade_core::ServiceId::parse("suite").ok();
    config.identity.server_names = vec!["fleet.example".into(), "10.0.0.1".into()];
    config.gateway.device.messages_per_second = 7;
    let text = render(&config).expect("renders");
    assert_eq!(toml::from_str::<Config>(&text).expect("parses"), config);
}
