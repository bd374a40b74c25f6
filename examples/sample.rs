//! Draws ten samples, one of each class, from the network that comes with the repository, and writes them as a PNG.
//!
//!     cargo run --release --example sample -- samples.png

use lapidary::data::fractal;
use lapidary::prelude::*;
use lapidary::report::pictures::{Images, Sheet};

const SIDE: u32 = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("samples.png".into());
    let images = pollster::block_on(draw())?;
    std::fs::write(path, Sheet::grid(Images::new(&images, 1, SIDE)?, 10).draw()?.png()?)?;
    Ok(())
}

async fn draw() -> lapidary::Result<Vec<f32>> {
    let gpu = Gpu::new(&Options::from_env()).await?;
    let pretrained = Pretrained::read("data/fashion-demo/model.safetensors")?;
    let weights = pretrained.upload(&gpu).await?;
    let model = &pretrained.network;
    let size = BatchSize { images: 10, side: SIDE };
    let settings = Pgd::sample(20, 0.8);
    let mut sampler = PgdAttack::new(model, &weights, size, settings).await?;
    let mut starts = Vec::new();
    for i in 0..10 {
        starts.extend(fractal(0, i, 1, SIDE)?);
    }
    sampler.attack(&starts, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).await
}
