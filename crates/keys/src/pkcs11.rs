//! A root key in a token that speaks PKCS#11: it never leaves it. The token seals the keys of others itself
//! (AES-256-GCM).

mod config;

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use parking_lot::Mutex;

pub use config::Pkcs11Config;

use crate::{KeyWrap, Looked, Secret, VersionedWrap, WrapError};

/// How a key that a token wrapped begins: no version of the keystore's root does.
pub(crate) const KIND: u8 = 1;
const NONCE: usize = 12;
const TAG_BITS: u64 = 128;
/// By how many random bytes a key is known, besides its version: a token may be exchanged for another.
const NAME: usize = 8;
/// The most versions, one byte less than a number has.
const MAX_VERSION: u32 = 0x00ff_ffff;

/// A root key in a token, in versions: the newest wraps, each opens what it wrapped.
pub struct Pkcs11Root {
    config: Pkcs11Config,
    module: Pkcs11,
    pin: Secret,
    /// One at a time: a session does one thing, and a token is one thing.
    session: Mutex<Option<Session>>,
    /// A PIN that was wrong is not tried again: the token would lock itself.
    is_refused: AtomicBool,
}

impl fmt::Debug for Pkcs11Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Root({})", self.place())
    }
}

/// What a session was asked to do did not happen.
enum Failed {
    /// The token says so.
    Token(Error),
    /// A key is not there: a session with a token that is gone may look like one with an empty token.
    Gone(String),
    /// Nothing that another session would change.
    Final(WrapError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}

impl From<WrapError> for Failed {
    fn from(error: WrapError) -> Self {
        Self::Final(error)
    }
}

impl Pkcs11Root {
    /// The root key in the token that a configuration names. A first version is made where it is to wrap and there is
    /// none.
    ///
    /// # Errors
    /// When the module, the token or the PIN is not there or not right.
    pub fn open(config: &Pkcs11Config, data: &Path, wraps: bool) -> Result<Self, WrapError> {
        let away = |why: String| WrapError::Away {
            place: place_of(config),
            why,
        };
        config.check().map_err(away)?;
        let path = config.module.clone().unwrap_or_default();
        let pin = config.pin(data).map_err(|error| away(error.to_string()))?;
        let pin = pin.ok_or_else(|| away("no PIN is named".to_owned()))?;
        let root = Self {
            config: config.clone(),
            module: load(&path).map_err(away)?,
            pin: pin.read().map_err(|error| away(error.to_string()))?,
            session: Mutex::new(None),
            is_refused: AtomicBool::new(false),
        };
        let keys = root.keys()?;
        if wraps && keys.is_empty() {
            root.make(tagged(1))?;
        }
        Ok(root)
    }

    fn place(&self) -> String {
        place_of(&self.config)
    }

    fn away(&self, why: impl fmt::Display) -> WrapError {
        WrapError::Away {
            place: self.place(),
            why: why.to_string(),
        }
    }

    /// Does something in a session, in a new one where the old one fails: a token may have been away.
    fn with<T>(&self, act: impl Fn(&Session) -> Result<T, Failed>) -> Result<T, WrapError> {
        let mut place = self.session.lock();
        if let Some(session) = place.take() {
            match act(&session) {
                Err(Failed::Token(_) | Failed::Gone(_)) => {
                    drop(session);
                    self.begin_anew();
                }
                done => {
                    *place = Some(session);
                    return done.map_err(|failed| self.said(failed));
                }
            }
        }
        let session = match self.login() {
            Err(_) if !self.is_refused.load(Ordering::Relaxed) => {
                self.begin_anew();
                self.login()?
            }
            session => session?,
        };
        match act(&session) {
            Err(failed @ (Failed::Token(_) | Failed::Gone(_))) => Err(self.said(failed)),
            done => {
                *place = Some(session);
                done.map_err(|failed| self.said(failed))
            }
        }
    }

    /// Has the module look anew at which tokens there are: some do only when they begin.
    fn begin_anew(&self) {
        let _ = self.module.clone().finalize();
        let flags = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        if let Err(error) = self.module.initialize(flags) {
            tracing::debug!(%error, "a PKCS#11 module does not begin anew");
        }
    }

    fn said(&self, failed: Failed) -> WrapError {
        match failed {
            Failed::Token(error) => self.away(error),
            Failed::Gone(why) => self.away(why),
            Failed::Final(error) => error,
        }
    }

    fn login(&self) -> Result<Session, WrapError> {
        if self.is_refused.load(Ordering::Relaxed) {
            return Err(self.away(
                "the PIN is wrong, and is not tried again: correct it and start the server again",
            ));
        }
        let slot = self.slot()?;
        let session = self.module.open_rw_session(slot);
        let session = session.map_err(|error| self.away(error))?;
        let text = String::from_utf8_lossy(self.pin.expose()).into_owned();
        match session.login(UserType::User, Some(&AuthPin::from(text))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(
                error @ (RvError::PinIncorrect
                | RvError::PinLocked
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired),
                _,
            )) => {
                self.is_refused.store(true, Ordering::Relaxed);
                Err(self.away(format!("the PIN is not taken: {error}")))
            }
            Err(error) => Err(self.away(error)),
        }
    }

    /// The slot of the token. Numbers of slots may change; a label stays with its token.
    fn slot(&self) -> Result<Slot, WrapError> {
        let slots = self.module.get_slots_with_token();
        let slots = slots.map_err(|error| self.away(error))?;
        let is_wanted = |slot: &Slot| {
            let has_number = self.config.slot.is_none_or(|wanted| slot.id() == wanted);
            let has_label = self.config.token.as_ref().is_none_or(|wanted| {
                let token = self.module.get_token_info(*slot);
                token.is_ok_and(|token| token.label() == wanted)
            });
            has_number && has_label
        };
        let mut found = slots.into_iter().filter(is_wanted);
        match (found.next(), found.next()) {
            (Some(slot), None) => Ok(slot),
            (Some(_), Some(_)) => {
                Err(self.away("two tokens have this label: name the slot as well"))
            }
            (None, _) => Err(self.away("there is no such token")),
        }
    }

    /// The keys that are there, the newest last.
    fn keys(&self) -> Result<Vec<KeyName>, WrapError> {
        self.with(|session| self.list(session))
    }

    fn list(&self, session: &Session) -> Result<Vec<KeyName>, Failed> {
        let mut keys = Vec::new();
        for key in session.find_objects(&self.template(None))? {
            for attribute in session.get_attributes(key, &[AttributeType::Id])? {
                if let Attribute::Id(id) = attribute {
                    keys.extend(KeyName::parse(&id));
                }
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// What our keys are found by.
    fn template(&self, key: Option<KeyName>) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Label(self.config.key.clone().into_bytes()),
        ];
        template.extend(key.map(|key| Attribute::Id(key.to_bytes())));
        template
    }

    fn key(&self, session: &Session, name: KeyName) -> Result<ObjectHandle, Failed> {
        let found = session.find_objects(&self.template(Some(name)))?;
        match found.as_slice() {
            [key] => Ok(*key),
            // Not that it is gone: it may be another token. Nobody is to act on that as on a key that was destroyed.
            _ => Err(Failed::Gone(format!(
                "it has no version {} of the key {:?} with the name {}",
                name.version & MAX_VERSION,
                self.config.key,
                name.hex()
            ))),
        }
    }

    fn make(&self, version: u32) -> Result<(), WrapError> {
        let mut name = [0; NAME];
        fill(&mut name)?;
        let name = KeyName { version, name };
        self.with(|session| {
            let mut template = self.template(Some(name));
            template.extend([
                Attribute::ValueLen(32.into()),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Modifiable(false),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
            ]);
            session.generate_key(&Mechanism::AesKeyGen, &template)?;
            Ok(())
        })
    }

    fn newest(&self) -> Result<KeyName, WrapError> {
        self.with(|session| {
            let newest = self.list(session)?.pop();
            newest.ok_or_else(|| Failed::Gone(format!("it has no key {:?}", self.config.key)))
        })
    }

    fn seal(&self, name: KeyName, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        let sealed = self.with(|session| {
            let wrapping = self.key(session, name)?;
            let mut nonce = nonce;
            let parameters = GcmParams::new(&mut nonce, context, TAG_BITS.into())?;
            Ok(session.encrypt(&Mechanism::AesGcm(parameters), wrapping, key.expose())?)
        })?;
        let mut wrapped = name.to_bytes();
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(&sealed);
        Ok(wrapped)
    }

    fn open_sealed(
        &self,
        name: KeyName,
        (nonce, sealed): Sealed<'_>,
        context: &[u8],
    ) -> Result<Secret, WrapError> {
        self.with(|session| {
            let wrapping = self.key(session, name)?;
            let mut nonce = *nonce;
            let parameters = GcmParams::new(&mut nonce, context, TAG_BITS.into())?;
            match session.decrypt(&Mechanism::AesGcm(parameters), wrapping, sealed) {
                Ok(opened) => Ok(Secret::new(opened)),
                Err(Error::Pkcs11(
                    RvError::EncryptedDataInvalid
                    | RvError::EncryptedDataLenRange
                    | RvError::DataInvalid
                    | RvError::DataLenRange,
                    _,
                )) => Err(Failed::Final(WrapError::Refused)),
                Err(error) => Err(Failed::Token(error)),
            }
        })
    }
}

impl KeyWrap for Pkcs11Root {
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.seal(self.newest()?, key, context)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
        let (name, sealed) = parts_of(wrapped).ok_or(WrapError::Refused)?;
        let opened = self.open_sealed(name, sealed, context);
        // Some tokens have no word of their own for what does not open: one that opens what it just sealed is well.
        match opened {
            Err(WrapError::Away { .. }) if self.is_well(name) => Err(WrapError::Refused),
            opened => opened,
        }
    }

    fn check(&self) -> Result<(), WrapError> {
        let sealed = self.seal(self.newest()?, &Secret::from("palisade"), b"check")?;
        self.unwrap(&sealed, b"check").map(drop)
    }
}

impl Pkcs11Root {
    /// What is there, and that it wraps and opens.
    pub(crate) fn look(&self) -> Result<Looked, WrapError> {
        let newest = self.keys()?.pop();
        if newest.is_some() {
            self.check()?;
        }
        Ok(Looked {
            place: self.place(),
            version: newest.map(|name| name.version & MAX_VERSION),
        })
    }

    fn is_well(&self, name: KeyName) -> bool {
        let Ok(sealed) = self.seal(name, &Secret::from("palisade"), b"check") else {
            return false;
        };
        let parts = parts_of(&sealed);
        parts.is_some_and(|(name, sealed)| self.open_sealed(name, sealed, b"check").is_ok())
    }
}

impl VersionedWrap for Pkcs11Root {
    fn rotate(&self) -> Result<u32, WrapError> {
        let next = (self.newest()?.version & MAX_VERSION) + 1;
        if next > MAX_VERSION {
            return Err(self.away("it has had too many versions"));
        }
        self.make(tagged(next))?;
        Ok(tagged(next))
    }

    fn version_of(&self, wrapped: &[u8]) -> Option<u32> {
        parts_of(wrapped).map(|(name, _)| name.version)
    }

    fn retire(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        let mut kept = in_use.clone();
        kept.insert(self.newest()?.version);
        self.abandon(&kept)
    }

    fn abandon(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        for name in self.keys()? {
            if !in_use.contains(&name.version) {
                self.with(|session| {
                    let key = self.key(session, name)?;
                    Ok(session.destroy_object(key)?)
                })?;
            }
        }
        Ok(())
    }
}

/// How a key is known in the token, and how what it wrapped begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct KeyName {
    /// With the kind of root before it.
    version: u32,
    name: [u8; NAME],
}

impl KeyName {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, name) = bytes.split_first_chunk()?;
        let version = u32::from_be_bytes(*version);
        let is_ours = version >> 24 == u32::from(KIND) && version & MAX_VERSION != 0;
        let name = name.try_into().ok()?;
        is_ours.then_some(Self { version, name })
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.version.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.name);
        bytes
    }

    fn hex(self) -> String {
        let digits = self.name.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }
}

type Sealed<'a> = (&'a [u8; NONCE], &'a [u8]);

/// Which key wrapped something, and what it made.
fn parts_of(wrapped: &[u8]) -> Option<(KeyName, Sealed<'_>)> {
    let (name, sealed) = wrapped.split_at_checked(4 + NAME)?;
    Some((KeyName::parse(name)?, sealed.split_first_chunk()?))
}

fn fill(bytes: &mut [u8]) -> Result<(), WrapError> {
    let filled = SystemRandom::new().fill(bytes);
    filled.map_err(|_| WrapError::Crypto("give random bytes"))
}

fn place_of(config: &Pkcs11Config) -> String {
    let token = config
        .token
        .as_deref()
        .map(|token| format!("the token {token:?}"));
    let slot = config.slot.map(|slot| format!("slot {slot}"));
    token.or(slot).unwrap_or_else(|| "a token".to_owned())
}

fn tagged(version: u32) -> u32 {
    u32::from(KIND) << 24 | version
}

/// A module may be initialised once in a process.
static MODULES: OnceLock<Mutex<Vec<(PathBuf, Pkcs11)>>> = OnceLock::new();

fn load(path: &Path) -> Result<Pkcs11, String> {
    let mut modules = MODULES.get_or_init(Mutex::default).lock();
    if let Some((_, module)) = modules.iter().find(|(known, _)| known == path) {
        return Ok(module.clone());
    }
    let failed = |error: Error| format!("the module {}: {error}", path.display());
    let module = Pkcs11::new(path).map_err(failed)?;
    let flags = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match module.initialize(flags) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failed(error)),
    }
    modules.push((path.to_owned(), module.clone()));
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Pkcs11Config {
        Pkcs11Config {
            module: Some("/usr/lib/token.so".into()),
            token: Some("palisade".to_owned()),
            pin_env: Some("PIN".to_owned()),
            ..Pkcs11Config::default()
        }
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let pin = folder.path().join("pin");
        std::fs::write(&pin, "1234").expect("writes");
        std::fs::set_permissions(&pin, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("changes");
        let config = Pkcs11Config {
            pin_env: None,
            pin_file: Some("pin".into()),
            module: Some("/nowhere/token.so".into()),
            ..config()
        };
        let error = Pkcs11Root::open(&config, folder.path(), true).expect_err("refused");
        let error = error.to_string();
        assert!(
            error.contains("/nowhere/token.so") && !error.contains("1234"),
            "{error}"
        );
    }
}
