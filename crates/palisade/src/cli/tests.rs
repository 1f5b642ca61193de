use clap::ValueEnum;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_a_sentence_and_examples() {
    fn visit(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some(), "{path} says nothing");
        let help = command.get_after_help().map(ToString::to_string);
        let leaf = command.get_subcommands().next().is_none();
        if leaf {
            let help = help.unwrap_or_default();
            assert!(
                help.starts_with("Examples:\n  palisade "),
                "{path} has no examples"
            );
        }
        for child in command.get_subcommands() {
            visit(child, &format!("{path} {}", child.get_name()));
        }
    }
    visit(&Cli::command(), "palisade");
}

/// An example that the command line itself refuses would mislead.
#[test]
fn every_example_parses() {
    fn visit(command: &clap::Command, lines: &mut Vec<String>) {
        if let Some(help) = command.get_after_help() {
            let help = help.to_string().replace("\\\n", " ");
            lines.extend(help.lines().filter_map(|line| {
                let at = line.find("palisade ").filter(|_| line.starts_with("  "))?;
                Some(line[at..].to_owned())
            }));
        }
        command
            .get_subcommands()
            .for_each(|child| visit(child, lines));
    }
    let mut lines = Vec::new();
    visit(&Cli::command(), &mut lines);
    assert!(lines.len() > 50);
    for line in lines {
        let words = words(&line);
        if let Err(error) = Cli::try_parse_from(&words) {
            panic!("{line}\n{error}");
        }
    }
}

#[test]
fn every_step_that_an_audit_names_parses() {
    for check in palisade_detect::audit::Check::ALL {
        let command = check.about().command;
        if let Err(error) = Cli::try_parse_from(words(command)) {
            panic!("{check}: {command}\n{error}");
        }
    }
}

/// The words of a shell line, up to a redirection, pipe or comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('>' | '<' | '|', None) => break,
            ('#', None) if word.is_empty() => break,
            (' ', None) => words.push(std::mem::take(&mut word)),
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn completions_are_there_for_each_shell() {
    for shell in Shell::value_variants() {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "palisade", &mut script);
        let script = String::from_utf8(script).expect("text");
        assert!(script.contains("quarantine"), "{shell}");
    }
}

#[test]
fn wrong_usage_has_exit_code_2() {
    for line in [
        "",
        "serve",
        "device",
        "device show",
        "nonsense",
        "token create --uses x",
    ] {
        let words = ["palisade"].into_iter().chain(line.split_whitespace());
        let error = Cli::try_parse_from(words).expect_err("refused");
        assert_eq!(error.exit_code(), 2, "{line:?}");
    }
}
