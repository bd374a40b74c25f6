//! Compares the preparation of images (padding, averaging, channel means) with results worked out by hand.

use crate::assert_says;
use lapidary::data::{Dataset, Part, Prepared, fashion};

#[test]
fn preparation_by_hand() {
    // 3×2 in a square of 4: one row of zeros below, one column on each side; then means of 2×2.
    let data = Dataset::new(1, 3, 2, 1, vec![255, 0, 51, 102, 204, 255], vec![0]).unwrap();
    let two = data.prepared(2).unwrap();
    assert_eq!(two.images(), [(255. + 51.) / 1020., 102. / 1020., 204. / 1020., 255. / 1020.]);
    let four = data.prepared(4).unwrap();
    let expected = [0, 255, 0, 0, 0, 51, 102, 0, 0, 204, 255, 0, 0, 0, 0, 0]
        .map(|pixel: u8| f32::from(pixel) / 255.);
    assert_eq!(four.images(), expected);
    assert_eq!(data.prepared(1).unwrap().images(), [867. / 255. / 9.]);
    assert!(data.prepared(0).is_err() && data.prepared(5000).is_err());
    assert!(data.split(1, 0).unwrap().0.prepared(2).is_err(), "no images");
}

#[test]
fn fashion_at_16_is_padded_to_32_and_averaged() {
    let data = fashion::load(Part::Test).unwrap();
    let prepared = data.prepared(16).unwrap();
    assert_eq!(
        (prepared.side(), prepared.channels(), prepared.classes(), prepared.len()),
        (16, 1, 10, 1000)
    );
    assert_eq!(prepared.labels(), data.labels());
    let (from, to) = (data.image(5).unwrap(), prepared.image(5).unwrap());
    let pixel = |y: usize, x: usize| f32::from(from[(2 * y - 2) * 28 + 2 * x - 2]);
    for (y, x) in [(1, 1), (7, 8), (14, 14)] {
        let corner = (2 * y - 2) * 28 + 2 * x - 2;
        let sum = pixel(y, x)
            + f32::from(from[corner + 1])
            + f32::from(from[corner + 28])
            + f32::from(from[corner + 29]);
        assert_eq!(to[y * 16 + x], sum / 1020.);
    }
    assert!(
        to[..16].iter().all(|&value| value == 0.) && to[15 * 16..].iter().all(|&value| value == 0.)
    );
    assert!(prepared.images().iter().all(|value| (0. ..=1.).contains(value)));
    assert_eq!(prepared.image(1000), None);
}

#[test]
fn statistics_are_per_channel() {
    let images = vec![0., 0.5, 1., 1., 0.5, 1., 1., 1.];
    let prepared = Prepared::from_f32(4, 1, 2, images, vec![0, 1]).unwrap();
    assert_eq!(prepared.mean(), [0.25, 0.75, 1., 1.]);
    assert_eq!(prepared.std(), [0.25, 0.25, 1., 1.], "1 where a channel is constant");
}

#[test]
fn user_values_are_checked() {
    let error = |value: f32| {
        let mut images = vec![0.5; 3 * 4];
        images[2 * 4 + 1] = value;
        Prepared::from_f32(1, 2, 2, images, vec![0, 1, 0]).unwrap_err().to_string()
    };
    assert_says(&error(f32::NAN), &["NaN in image 2", "[0,1]"]);
    assert_says(&error(f32::INFINITY), &["inf in image 2"]);
    assert_says(&error(-0.25), &["-0.25 in image 2"]);
    assert_says(&error(1.5), &["1.5 in image 2"]);
    assert!(Prepared::from_f32(1, 2, 2, vec![0.; 3], vec![0]).is_err());
    assert!(Prepared::from_f32(1, 2, 2, vec![0.; 4], vec![2]).is_err());
    assert!(Prepared::from_f32(1, 2, 2, vec![], vec![]).is_err());
}
