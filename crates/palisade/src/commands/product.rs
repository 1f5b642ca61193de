//! `palisade product`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::PageArgs;
use crate::{
    client::{Act, Session, path},
    failure::{Exit, Failure},
    output::{Column, column},
};

const COLUMNS: [Column; 4] = [
    column("PRODUCT", "/id"),
    column("SEGMENT", "/default_segment"),
    column("INVENTORY ONLY", "/inventory_only"),
    column("DESCRIPTION", "/description"),
];
const FIELDS: [Column; 4] = [
    column("product", "/id"),
    column("description", "/description"),
    column("default segment", "/default_segment"),
    column("inventory only", "/inventory_only"),
];

/// Products: the types that devices are of.
#[derive(Debug, Subcommand)]
pub(crate) enum ProductCommand {
    /// List products
    #[command(after_help = "Examples:\n  palisade product list\n  palisade product list --json")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a product
    #[command(after_help = "Examples:\n  palisade product show camera")]
    Show {
        /// The product
        product: String,
    },
    /// Make a product known, or change it
    #[command(after_help = "Examples:
  palisade product put camera --description 'Door camera'
  palisade product put meter --segment plant --inventory-only true")]
    Put(PutArgs),
}

/// What a product is like; what is left out stays as it is.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The product
    product: String,
    /// What people read
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The segment its devices live in unless said otherwise
    #[arg(long, value_name = "SEGMENT")]
    segment: Option<String>,
    /// Whether only devices that were registered beforehand may enrol
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    inventory_only: Option<bool>,
}

impl Act for ProductCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["products"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            Self::Show { product } => {
                let answer = session.get(path(&["products", &product])).send()?;
                session.output.record(&answer, &FIELDS)
            }
            Self::Put(put) => {
                let known = session.get(path(&["products", &put.product])).send();
                let mut body = match known {
                    Ok(known) => json!({
                        "description": known.get("description"),
                        "default_segment": known.get("default_segment"),
                        "inventory_only": known.get("inventory_only"),
                    }),
                    Err(failure) if failure.code() == Exit::NotFound => json!({}),
                    Err(failure) => return Err(failure),
                };
                if let Some(description) = &put.description {
                    body["description"] = json!(description);
                }
                if let Some(segment) = &put.segment {
                    body["default_segment"] = json!(segment);
                }
                if let Some(only) = put.inventory_only {
                    body["inventory_only"] = json!(only);
                }
                let answer = session
                    .put(path(&["products", &put.product]))
                    .json(&body)
                    .send()?;
                let sentence = format!("Product {} is known.", put.product);
                session.output.done(&answer, &sentence)
            }
        }
    }
}
