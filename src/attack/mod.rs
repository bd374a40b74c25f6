//! Attacks on the classifier, and gradient steps on images for other ends: drawing samples, and making contrastive images, which
//! training teaches the network to tell from real ones.
//!
//! An attack is made once for a model, a number of images and their size, and then started and run as often as wanted,
//! through the one trait [`Attack`]. A step is a forward pass, the gradient for the images alone, and a change of the images in
//! place. [`AnyAttack`] is any one of the attacks, chosen by its [`Settings`].

mod any;
mod apgd;
mod divergence;
mod draws;
mod fab;
mod forward;
mod interface;
mod langevin;
mod momentum;
mod objective;
mod pgd;
mod square;

pub use any::{AnyAttack, Settings};
pub use apgd::{Apgd, ApgdAttack};
pub use divergence::{Divergence, DivergenceAttack};
pub use fab::{Boundary, Fab, FabAttack};
pub use forward::{check_pixels, check_radius};
pub use interface::{Attack, Found, Start};
pub use langevin::{Langevin, LangevinChains};
pub use momentum::{MomentumAttack, MomentumPgd};
pub use objective::Objective;
pub use pgd::{Pgd, PgdAttack, Statistics};
pub use square::{Square, SquareAttack};
