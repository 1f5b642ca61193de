//! Buffers that a thread lends to whichever connection it polls.

use std::cell::RefCell;

/// How much one read takes at most.
const READ: usize = 64 * 1024;
/// Buffers larger than this are not kept between polls.
const KEEP: usize = 512 * 1024;

/// Buffers for one poll.
#[derive(Debug)]
pub struct Scratch {
    /// As read from the socket.
    pub wire_in: Box<[u8]>,
    /// The same without TLS.
    pub plain_in: Vec<u8>,
    /// Packets to send.
    pub plain_out: Vec<u8>,
    /// The same with TLS.
    pub wire_out: Vec<u8>,
}

impl Scratch {
    fn new() -> Self {
        Self {
            wire_in: vec![0; READ].into_boxed_slice(),
            plain_in: Vec::new(),
            plain_out: Vec::new(),
            wire_out: Vec::new(),
        }
    }

    /// Lends this thread's buffers, empty.
    pub fn with<R>(use_it: impl FnOnce(&mut Self) -> R) -> R {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
        }
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => {
                let result = use_it(&mut scratch);
                scratch.clear();
                result
            }
            // A connection never polls another; should it happen, it gets buffers of its own.
            Err(_) => use_it(&mut Self::new()),
        })
    }

    fn clear(&mut self) {
        for buffer in [&mut self.plain_in, &mut self.plain_out, &mut self.wire_out] {
            buffer.clear();
            buffer.shrink_to(KEEP);
        }
    }
}
