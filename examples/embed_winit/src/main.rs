//! Shows a window in which a network's samples form step by step, on the GPU device that egui draws the window with. `cargo run
//! --release -p embed-winit` opens it.

mod measured;

use eframe::egui::{self, Slider, Vec2, vec2};
use eframe::egui_wgpu::RenderState;
use eframe::wgpu::{CommandBuffer, FilterMode};
use lapidary::Result;
use lapidary::data::{Fractal, Random, fashion::CLASS_NAMES};
use lapidary::embed::{Budget, Gpu, Sampler};
use lapidary::model::{BatchSize, DeviceWeights, Network, Pretrained};
use pollster::block_on;
use std::time::Duration;

const DEMO: &[u8] = include_bytes!("../../../data/fashion-demo/model.safetensors");
const SIDE: u32 = 16;
const COLUMNS: u32 = 5;
const ROWS: u32 = 2;
/// The slider's place behind the last class.
const ALL: usize = CLASS_NAMES.len();

#[derive(Clone, Copy, PartialEq)]
struct Wishes {
    class: usize,
    seed: u64,
    step_size: f32,
    eps: f32,
    steps: u32,
}

struct App {
    host: RenderState,
    network: Network,
    weights: DeviceWeights,
    sampler: Sampler,
    texture: egui::TextureId,
    wishes: Wishes,
    budget_ms: u64,
    playing: bool,
    done: u32,
}

/// The class that image `i` is to become.
fn class_of(class: usize, i: usize) -> usize {
    if class == ALL { i % ALL } else { class }
}

/// From random fields, as training did.
async fn sampler(of: &Network, weights: &DeviceWeights, wishes: Wishes) -> Result<Sampler> {
    let Wishes { class, seed, step_size, eps, steps } = wishes;
    let size = BatchSize { images: COLUMNS * ROWS, side: SIDE };
    let settings = Sampler::of(of, weights, size).columns(COLUMNS);
    let mut sampler = settings.step_size(step_size).eps(eps).steps(steps).build().await?;
    let (fields, images) = (Fractal::new(1, SIDE)?, 0..(COLUMNS * ROWS) as usize);
    let field = |i| fields.image(&mut Random::new(seed, "window", 0, i as u64));
    let labels: Vec<_> = images.clone().map(|i| class_of(class, i) as u32).collect();
    sampler.start(&images.flat_map(field).collect::<Vec<_>>(), &labels).await?;
    Ok(sampler)
}

fn shown(host: &RenderState, sampler: &Sampler) -> egui::TextureId {
    let (view, nearest) = (sampler.texture().create_view(&Default::default()), FilterMode::Nearest);
    host.renderer.write().register_native_texture(&host.device, &view, nearest)
}

impl App {
    fn new(host: &eframe::CreationContext) -> Result<Self> {
        let host = host.wgpu_render_state.clone().expect("eframe draws with wgpu here");
        let info = host.adapter.get_info();
        let gpu = Gpu::from_wgpu(&info, host.device.clone(), host.queue.clone());
        let pretrained = Pretrained::from_bytes("the demo's network", DEMO)?;
        let weights = block_on(pretrained.upload(&gpu))?;
        let network = pretrained.network;
        let wishes = Wishes { class: ALL, seed: 0, step_size: 0.8, eps: 12.0, steps: 20 };
        let sampler = block_on(sampler(&network, &weights, wishes))?;
        let texture = shown(&host, &sampler);
        let (budget_ms, playing, done) = (8, true, 0);
        Ok(Self { host, network, weights, sampler, texture, wishes, budget_ms, playing, done })
    }

    /// Draws the window; returns a slice of the sampler's work.
    fn frame(&mut self, ui: &mut egui::Ui) -> Result<CommandBuffer> {
        let before = self.wishes;
        let controls = egui::Panel::left("controls").exact_size(250.0).resizable(false);
        controls.show(ui, |ui| self.controls(ui));
        egui::CentralPanel::default().show(ui, |ui| self.gallery(ui));
        ui.ctx().request_repaint();
        if self.wishes != before {
            self.sampler = block_on(sampler(&self.network, &self.weights, self.wishes))?;
            self.host.renderer.write().free_texture(&self.texture);
            self.texture = shown(&self.host, &self.sampler);
        }
        let mut encoder = self.host.device.create_command_encoder(&Default::default());
        let budget = Duration::from_millis(if self.playing { self.budget_ms } else { 0 });
        self.done = self.sampler.record(&mut encoder, Budget::Time(budget))?;
        Ok(encoder.finish())
    }

    fn controls(&mut self, ui: &mut egui::Ui) {
        let Wishes { class, seed, step_size, eps, steps } = &mut self.wishes;
        let name = |class: f64, _| CLASS_NAMES.get(class as usize).unwrap_or(&"all").to_string();
        ui.heading("lapidary");
        ui.label("Images form by steps up the logit of a class, a slice of them each frame.");
        ui.spacing_mut().item_spacing.y = 10.0;
        ui.add(Slider::new(class, 0..=ALL).custom_formatter(name).text("class"));
        ui.add(Slider::new(step_size, 0.05..=2.0).text("step size"));
        ui.add(Slider::new(eps, 0.1..=16.0).text("eps"));
        ui.add(Slider::new(steps, 1..=100).text("steps"));
        ui.add(Slider::new(&mut self.budget_ms, 1..=50).suffix(" ms").text("a frame"));
        ui.horizontal(|ui| {
            self.playing ^= ui.button(if self.playing { "Pause" } else { "Play" }).clicked();
            *seed += u64::from(ui.button("New starts").clicked());
        });
        let progress = egui::ProgressBar::new(self.done as f32 / *steps as f32);
        ui.add(progress.text(format!("step {} of {steps}", self.done)));
        let pace = self.sampler.pace().as_secs_f64() * 1e3;
        ui.weak(format!("{pace:.1} ms a step on {}", self.host.adapter.get_info().name));
    }

    fn gallery(&self, ui: &egui::Ui) {
        let (area, grid) = (ui.max_rect(), vec2(COLUMNS as f32, ROWS as f32));
        let (cell, colour) = (area.size() / grid, ui.visuals().text_color());
        for i in 0..COLUMNS * ROWS {
            let at = vec2((i % COLUMNS) as f32, (i / COLUMNS) as f32);
            let side = Vec2::splat((cell.x - 8.0).min(cell.y - 24.0));
            let place = egui::Rect::from_min_size(area.min + at * cell, side);
            let part = egui::Rect::from_min_size((at / grid).to_pos2(), Vec2::splat(1.0) / grid);
            ui.painter().image(self.texture, place, part, egui::Color32::WHITE);
            let name = CLASS_NAMES[class_of(self.wishes.class, i as usize)];
            let (font, below) = (egui::FontId::proportional(12.0), egui::Align2::CENTER_TOP);
            ui.painter().text(place.center_bottom(), below, name, font, colour);
        }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        let slice = self.frame(ui).expect("a device that is there, and settings in their ranges");
        self.host.queue.submit([slice]);
    }
}

fn main() -> eframe::Result {
    let viewport = egui::ViewportBuilder::default().with_inner_size([960.0, 350.0]);
    let options = eframe::NativeOptions { viewport, ..Default::default() };
    let app = |host: &eframe::CreationContext| measured::asked_for(App::new(host)?);
    eframe::run_native("lapidary", options, Box::new(app))
}
