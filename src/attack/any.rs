//! The enum `AnyAttack`, one type for all attacks, made from the settings of any of them.

use super::{
    Apgd, ApgdAttack, Attack, Divergence, DivergenceAttack, Fab, FabAttack, Found, Langevin,
    LangevinChains, MomentumAttack, MomentumPgd, Pgd, PgdAttack, Square, SquareAttack, Start,
};
use crate::Result;
use crate::gpu::{Buffer, Timing};
use crate::graph::Summary;
use crate::model::{BatchSize, DeviceWeights, Model};

/// Defines the enums of settings and attacks from one list; each method calls the same method of the attack inside.
macro_rules! attacks {
    ($($name:ident: $settings:ident, $attack:ident;)*) => {
        /// The settings of any attack.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Settings {
            $(#[doc = concat!("Of an [`", stringify!($attack), "`].")] $name($settings),)*
        }

        /// Any attack, for code that learns only at run time which one to run.
        #[derive(Debug)]
        pub enum AnyAttack {
            $(#[doc = concat!("By [`Settings::", stringify!($name), "`].")] $name(Box<$attack>),)*
        }

        $(impl From<$settings> for Settings {
            fn from(settings: $settings) -> Self {
                Self::$name(settings)
            }
        })*

        impl AnyAttack {
            /// Makes the attack for these settings.
            pub async fn new(
                model: &dyn Model,
                weights: &DeviceWeights,
                size: BatchSize,
                settings: impl Into<Settings>,
            ) -> Result<Self> {
                match settings.into() {
                    $(Settings::$name(settings) => {
                        let made = $attack::new(model, weights, size, settings);
                        Ok(Self::$name(Box::new(made.await?)))
                    })*
                }
            }
        }

        impl Attack for AnyAttack {
            async fn start(&mut self, start: &Start<'_>) -> Result<()> {
                match self { $(Self::$name(attack) => attack.start(start).await,)* }
            }

            async fn run(
                &mut self,
                steps: u32,
                progress: impl FnMut(u32) -> Result<()>,
            ) -> Result<()> {
                match self { $(Self::$name(attack) => attack.run(steps, progress).await,)* }
            }

            async fn images(&self) -> Result<Vec<f32>> {
                match self { $(Self::$name(attack) => attack.images().await,)* }
            }

            async fn found(&self) -> Result<Found> {
                match self { $(Self::$name(attack) => attack.found().await,)* }
            }

            async fn done(&self) -> Result<bool> {
                match self { $(Self::$name(attack) => attack.done().await,)* }
            }

            async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>> {
                match self { $(Self::$name(attack) => attack.profile(repetitions).await,)* }
            }

            fn steps(&self) -> u32 {
                match self { $(Self::$name(attack) => attack.steps(),)* }
            }

            fn image_buffer(&self) -> &Buffer {
                match self { $(Self::$name(attack) => attack.image_buffer(),)* }
            }

            fn label_buffer(&self) -> &Buffer {
                match self { $(Self::$name(attack) => attack.label_buffer(),)* }
            }

            fn summary(&self) -> &Summary {
                match self { $(Self::$name(attack) => attack.summary(),)* }
            }
        }
    };
}

attacks! {
    Pgd: Pgd, PgdAttack;
    Momentum: MomentumPgd, MomentumAttack;
    Divergence: Divergence, DivergenceAttack;
    Apgd: Apgd, ApgdAttack;
    Fab: Fab, FabAttack;
    Square: Square, SquareAttack;
    Langevin: Langevin, LangevinChains;
}
