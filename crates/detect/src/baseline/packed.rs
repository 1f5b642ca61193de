//! Numbers in two bytes and in four bits: what lets a metric fit into forty bytes.

/// The upper half of a float, rounded to nearest: eight bits of precision over the whole range.
pub(super) fn to_half(value: f32) -> u16 {
    (value.to_bits().wrapping_add(0x8000) >> 16) as u16
}

/// The float of which [`to_half`] made the half.
pub(super) fn from_half(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// Codes a doubling of the logarithm takes: 0.07% each.
const STEPS: f32 = 1023.0;
/// The smallest exponent that a code holds.
const LEAST: f32 = 32.0;

/// A size (not negative) by its logarithm, from 2^-32 to 2^32; 0 is nothing. An average that moves by a
/// thousandth a time still moves in this form, in [`to_half`]'s it would stand still.
pub(super) fn to_log(size: f32) -> u16 {
    if size <= 0.0 || size.is_nan() {
        return 0;
    }
    ((size.log2() + LEAST) * STEPS)
        .round()
        .clamp(1.0, f32::from(u16::MAX)) as u16
}

/// The size of which [`to_log`] made the code.
pub(super) fn from_log(code: u16) -> f32 {
    match code {
        0 => 0.0,
        _ => (f32::from(code) / STEPS - LEAST).exp2(),
    }
}

/// Twenty-four numbers from -8 to 7, one for each hour of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hours(pub(super) [u8; 12]);

impl Hours {
    /// Nothing is known of any hour.
    pub(super) const FLAT: Self = Self([0x88; 12]);

    pub(super) fn get(self, hour: u8) -> i32 {
        let (byte, shift) = place(hour);
        i32::from((self.0[byte] >> shift) & 0x0f) - 8
    }

    pub(super) fn set(&mut self, hour: u8, value: i32) {
        let (byte, shift) = place(hour);
        let coded = (value.clamp(-8, 7) + 8) as u8;
        self.0[byte] = (self.0[byte] & !(0x0f << shift)) | (coded << shift);
    }
}

fn place(hour: u8) -> (usize, u8) {
    let hour = hour % 24;
    (usize::from(hour / 2), 4 * (hour % 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_numbers_come_back_close() {
        for value in [0.0, 1.0, -1.0, 0.125, 37.5, -1e-9, 6.5e8] {
            let back = from_half(to_half(value));
            assert!(
                (back - value).abs() <= value.abs() / 128.0,
                "{value} {back}"
            );
        }
        for size in [1e-9, 0.02, 1.0, 17.3, 4e9] {
            let back = from_log(to_log(size));
            assert!((back - size).abs() <= size / 500.0, "{size} {back}");
        }
        assert_eq!(from_log(to_log(0.0)), 0.0);
        assert_eq!(from_log(to_log(-1.0)), 0.0);
        assert_eq!(from_log(to_log(f32::NAN)), 0.0);
    }

    #[test]
    fn each_hour_has_its_own_place() {
        let mut hours = Hours::FLAT;
        for hour in 0..24 {
            hours.set(hour, i32::from(hour) % 16 - 8);
        }
        for hour in 0..24 {
            assert_eq!(hours.get(hour), i32::from(hour) % 16 - 8);
        }
    }
}
