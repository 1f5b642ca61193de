//! Where a connection comes from that a load balancer hands on (PROXY protocol, version 2). An address in a header is
//! believed of those balancers alone that the configuration names, and of these every connection must begin with a
//! header: nothing is guessed from what a stranger sends. A header is bounded in size and in time, and not one byte
//! after it is read. Begin with [`Balancers::source`].

mod balancers;
mod header;

pub use balancers::Balancers;
pub use header::{Header, HeaderError, LOCAL, MAX_HEADER, parse};
