//! Events as `rsigma` asks for them.

use std::borrow::Cow;

use rsigma_eval::{Event, EventValue};
use serde_json::Value;

use super::super::{FieldValue, FlatEvent};

fn value<'a>(field: &'a FieldValue<'_>) -> EventValue<'a> {
    match field {
        FieldValue::Text(text) => EventValue::Str(Cow::Borrowed(text)),
        FieldValue::Number(number) => EventValue::Int(*number),
        FieldValue::Real(number) => EventValue::Float(*number),
        FieldValue::Flag(flag) => EventValue::Bool(*flag),
        FieldValue::Null => EventValue::Null,
        FieldValue::List(all) => EventValue::Array(all.iter().map(value).collect()),
    }
}

/// Shows each text in a field; `false` from `visit` ends it.
fn visit_texts(field: &FieldValue<'_>, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match field {
        FieldValue::Text(text) => visit(text),
        FieldValue::List(all) => all.iter().all(|one| visit_texts(one, visit)),
        _ => true,
    }
}

impl Event for FlatEvent<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        self.get(path).map(value)
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        let mut none = |text: &str| !pred(text);
        !self.iter().all(|(_, field)| visit_texts(field, &mut none))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        fn collect<'a>(field: &'a FieldValue<'_>, texts: &mut Vec<Cow<'a, str>>) {
            match field {
                FieldValue::Text(text) => texts.push(Cow::Borrowed(text)),
                FieldValue::List(all) => all.iter().for_each(|one| collect(one, texts)),
                _ => {}
            }
        }
        let mut texts = Vec::new();
        for (_, field) in self.iter() {
            collect(field, &mut texts);
        }
        texts
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        let mut each = |text: &str| {
            visit(text);
            true
        };
        for (_, field) in self.iter() {
            visit_texts(field, &mut each);
        }
    }

    fn to_json(&self) -> Value {
        let fields = self.iter();
        fields
            .map(|(name, field)| (name.to_owned(), value(field).to_json()))
            .collect()
    }

    fn field_keys(&self) -> Vec<Cow<'_, str>> {
        self.iter().map(|(name, _)| Cow::Borrowed(name)).collect()
    }

    fn top_level_keys(&self) -> Option<Vec<Cow<'_, str>>> {
        Some(self.field_keys())
    }

    fn visit_top_level_keys(&self, visit: &mut dyn FnMut(&str)) -> bool {
        for (name, _) in self.iter() {
            visit(name);
        }
        true
    }
}
