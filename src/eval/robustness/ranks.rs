//! Exchanges results between the processes that share an evaluation: after each has attacked some batches, all learn which images
//! of any batch the attack has broken, that is, made misclassified.

use crate::world::World;
use crate::{Error, Result};

/// The results of an attack on one batch of images, all of which were classified correctly before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// For each image of the batch, whether the attack made it misclassified.
    pub broken: Vec<bool>,
    /// The misclassified images that the attack found, one after the other; none for the images that it did not break.
    pub images: Vec<f32>,
    /// The number of images at which the gradient was zero everywhere.
    pub flat: usize,
}

/// Exchanges outcomes between ranks: returns all in the order of lanes, and whether any rank was asked to stop.
pub(super) fn exchange(
    world: &World,
    mine: Vec<Outcome>,
    stop: bool,
) -> Result<(Vec<Outcome>, bool)> {
    if !world.is_shared() {
        return Ok((mine, stop));
    }
    let mut bytes = vec![u8::from(stop)];
    for Outcome { broken, images, flat } in &mine {
        for length in [broken.len(), images.len(), *flat] {
            bytes.extend((length as u64).to_le_bytes());
        }
        bytes.extend(broken.iter().map(|&broken| u8::from(broken)));
        bytes.extend(images.iter().flat_map(|value| value.to_le_bytes()));
    }
    let (mut all, mut stops) = (Vec::new(), false);
    for part in world.gather(bytes)? {
        let wrong = || Error::bug("attack", "another process sent results that cannot be decoded");
        let (&stop, mut rest) = part.split_first().ok_or_else(wrong)?;
        stops |= stop != 0;
        while !rest.is_empty() {
            all.push(decode(&mut rest).ok_or_else(wrong)?);
        }
    }
    Ok((all, stops))
}

fn decode(bytes: &mut &[u8]) -> Option<Outcome> {
    let mut number = || -> Option<usize> {
        let (eight, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        Some(u64::from_le_bytes(*eight) as usize)
    };
    let (points, values, flat) = (number()?, number()?, number()?);
    let (broken, rest) = bytes.split_at_checked(points)?;
    let (images, rest) = rest.split_at_checked(values.checked_mul(4)?)?;
    *bytes = rest;
    Some(Outcome {
        broken: broken.iter().map(|&broken| broken != 0).collect(),
        images: images.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
        flat,
    })
}
