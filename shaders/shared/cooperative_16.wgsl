// Types of cooperative matrices of 16 by 16, with factors in half precision and sums in single precision.

const SIDE: u32 = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;
