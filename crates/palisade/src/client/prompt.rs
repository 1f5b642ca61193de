//! Questions to people, and secrets that come from anywhere but the argument list.

use std::{
    io::{BufRead, IsTerminal, Write},
    path::Path,
};

use palisade_keys::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::failure::{Context, Failure};

/// The longest secret line, in bytes.
const MAX_LINE: u64 = 4096;
/// Where a passphrase may come from besides a file or the terminal.
const PASSPHRASE: &str = "PALISADE_PASSPHRASE";

/// Asks for a yes before something that is hard to undo, but for `--yes`. Where nobody can be asked it is not done.
pub(crate) fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let question = question.trim_end_matches("Go on?").trim_end();
        return Err(Failure::usage(format!(
            "{question} Nobody can be asked whether that is meant: this is no terminal"
        ))
        .next("add --yes"));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new("nothing was changed")),
    }
}

/// Reads a secret: a line from the terminal without an echo, or from standard input.
pub(crate) fn secret(prompt: &str) -> Result<String, Failure> {
    asked(prompt).map(|line| line.trim().to_owned())
}

/// Reads a password as [`secret`] does; blanks at its ends are of it.
pub(crate) fn password(prompt: &str) -> Result<String, Failure> {
    asked(prompt)
}

/// Reads a password that is chosen now: on a terminal it is asked for twice.
pub(crate) fn new_password() -> Result<String, Failure> {
    let first = password("New password")?;
    if std::io::stdin().is_terminal() && password("Once more")? != first {
        return Err(Failure::usage("the two passwords are not the same"));
    }
    Ok(first)
}

fn asked(prompt: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return line();
    }
    eprint!("{prompt}: ");
    std::io::stderr().flush()?;
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let read = line();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    eprintln!();
    read
}

fn line() -> Result<String, Failure> {
    use std::io::Read;
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_LINE)
        .read_line(&mut line)?;
    let line = line.trim_end_matches(['\n', '\r']).to_owned();
    match line.trim().is_empty() {
        true => Err(Failure::usage("nothing was entered")),
        false => Ok(line),
    }
}

/// A passphrase from a file, the environment or the terminal.
pub(crate) fn passphrase(file: Option<&Path>) -> Result<Secret, Failure> {
    match given(file)? {
        Some(given) => Ok(given),
        None => Ok(Secret::from(secret("Passphrase")?)),
    }
}

/// A passphrase that is chosen now: on a terminal it is asked for twice.
pub(crate) fn new_passphrase(file: Option<&Path>) -> Result<Secret, Failure> {
    if let Some(given) = given(file)? {
        return Ok(given);
    }
    let first = secret("New passphrase (15 bytes or more)")?;
    if std::io::stdin().is_terminal() && secret("Once more")? != first {
        return Err(Failure::usage("the two passphrases are not the same"));
    }
    Ok(Secret::from(first))
}

fn given(file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).context(path.display())?;
        return Ok(Some(Secret::from(text.trim_end_matches(['\n', '\r']))));
    }
    Ok(std::env::var(PASSPHRASE)
        .ok()
        .filter(|text| !text.is_empty())
        .map(Secret::from))
}
