//! The classes and activities of the schema that our events have.

/// A class of the schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    pub(super) uid: u32,
    pub(super) name: &'static str,
    pub(super) category: u32,
    pub(super) category_name: &'static str,
}

/// An activity of a class: its number and its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activity(pub(super) u32, pub(super) &'static str);

const fn class(uid: u32, name: &'static str, category: u32, category_name: &'static str) -> Class {
    Class {
        uid,
        name,
        category,
        category_name,
    }
}

pub(super) const AUTHENTICATION: Class =
    class(3002, "Authentication", 3, "Identity & Access Management");
pub(super) const ENTITY_MANAGEMENT: Class =
    class(3004, "Entity Management", 3, "Identity & Access Management");
pub(super) const NETWORK_ACTIVITY: Class = class(4001, "Network Activity", 4, "Network Activity");
pub(super) const DEVICE_INVENTORY: Class = class(5001, "Device Inventory Info", 5, "Discovery");
pub(super) const API_ACTIVITY: Class = class(6003, "API Activity", 6, "Application Activity");
pub(super) const DETECTION_FINDING: Class = class(2004, "Detection Finding", 2, "Findings");
pub(super) const REMEDIATION: Class = class(7001, "Remediation Activity", 7, "Remediation");

pub(super) const OTHER: Activity = Activity(99, "Other");

/// Of Authentication.
pub(super) const LOGON: Activity = Activity(1, "Logon");
pub(super) const LOGOFF: Activity = Activity(2, "Logoff");

/// Of Entity Management, API Activity and, for the first and third, Detection Finding.
pub(super) const CREATE: Activity = Activity(1, "Create");
pub(super) const READ: Activity = Activity(2, "Read");
pub(super) const UPDATE: Activity = Activity(3, "Update");
pub(super) const DELETE: Activity = Activity(4, "Delete");

/// Of Entity Management alone.
pub(super) const ENROLL: Activity = Activity(6, "Enroll");
pub(super) const DISABLE: Activity = Activity(9, "Disable");
pub(super) const ACTIVATE: Activity = Activity(10, "Activate");
pub(super) const DEACTIVATE: Activity = Activity(11, "Deactivate");
pub(super) const SUSPEND: Activity = Activity(12, "Suspend");
pub(super) const RESUME: Activity = Activity(13, "Resume");

/// Of Network Activity.
pub(super) const REFUSE: Activity = Activity(5, "Refuse");
pub(super) const TRAFFIC: Activity = Activity(6, "Traffic");

/// Of Device Inventory Info.
pub(super) const COLLECT: Activity = Activity(2, "Collect");

/// Of Detection Finding.
pub(super) const FINDING_CREATED: Activity = Activity(1, "Create");
pub(super) const FINDING_UPDATED: Activity = Activity(2, "Update");

/// Of Remediation Activity.
pub(super) const ISOLATE: Activity = Activity(1, "Isolate");
pub(super) const EVICT: Activity = Activity(2, "Evict");
pub(super) const RESTORE: Activity = Activity(3, "Restore");
pub(super) const HARDEN: Activity = Activity(4, "Harden");
