//! `palisade-agent subscribe`.

use clap::Args;

use super::{
    Context, Failure,
    door::{Answer, Request, Stream},
    print,
};

#[derive(Debug, Args)]
pub(super) struct SubscribeArguments {
    /// To what, as devices/sensor-1/commands/#.
    filter: String,
    /// 0: messages may be lost with the connection; 1: the server keeps them until the agent has them.
    #[arg(long, value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Ends after so many messages.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub(super) async fn run(context: &Context, arguments: SubscribeArguments) -> Result<(), Failure> {
    let request = Request::Subscribe {
        filter: arguments.filter,
        qos: arguments.qos,
    };
    let stream = Stream::open(&context.state, &request, &[]).await?;
    let Some(mut stream) = stream else {
        return Err(Failure::unreachable(
            "the agent is not running: palisade-agent run",
        ));
    };
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        match stream.next().await? {
            Some(Answer::Subscribed) => {}
            Some(message @ Answer::Message { .. }) => {
                print(&serde_json::to_string(&message).map_err(Failure::other)?);
                left -= 1;
            }
            Some(Answer::Failed { error }) => return Err(Failure::refused(error)),
            Some(_) => return Err(Failure::other("the agent answered something else")),
            None => return Err(Failure::unreachable("the agent has ended")),
        }
    }
    Ok(())
}
