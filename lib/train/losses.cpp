#include "train/losses.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "model/layer_runner.h"
#include "tensor/aten.h"
#include "train/autocast.h"

namespace frugal::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What one chunk adds: sums of the two losses and, where wanted, the gradient by its logits.
struct ChunkResult {
  at::Tensor cross_entropy, divergence;  // scalars fp64
  at::Tensor gradient;                   // [chunk, V] fp32
};

// KL(p_T || s_T) summed, and its share alpha T (s_T - p_T) of the gradient.
void add_divergence(ChunkResult& result, const at::Tensor& logits, const at::Tensor& teacher_logits,
                    const LossOptions& options, bool wants_gradient) {
  const double t = options.temperature;
  const at::Tensor student_log = (t == 1.0 ? logits : logits / t).log_softmax(-1);
  const at::Tensor teacher_log = (t == 1.0 ? teacher_logits : teacher_logits / t).log_softmax(-1);
  const at::Tensor teacher = teacher_log.exp();
  result.divergence = (teacher * (teacher_log - student_log)).sum(at::kDouble);
  if (!wants_gradient) return;
  const at::Tensor share = student_log.exp().sub_(teacher).mul_(options.distillation_weight * t);
  result.gradient = result.gradient.defined() ? result.gradient.add_(share) : share;
}

// -log s[target] summed, and its share (1 - alpha) (s - onehot) of the gradient.
void add_cross_entropy(ChunkResult& result, const at::Tensor& logits, const at::Tensor& targets,
                       const LossOptions& options, bool wants_gradient) {
  const at::Tensor logs = logits.log_softmax(-1);
  const at::Tensor columns = targets.unsqueeze(1);
  result.cross_entropy = logs.gather(1, columns).sum(at::kDouble).neg();
  if (!wants_gradient) return;
  const double weight = 1.0 - options.distillation_weight;
  result.gradient = logs.exp();
  result.gradient.scatter_add_(1, columns,
                               at::full({1, 1}, -1.0, logits.options()).expand_as(columns));
  if (weight != 1.0) result.gradient.mul_(weight);
}

ChunkResult chunk_loss(const at::Tensor& logits, const at::Tensor& teacher_logits,
                       const at::Tensor& targets, const LossOptions& options, bool wants_gradient) {
  ChunkResult result;
  if (options.distillation_weight < 1.0) {
    add_cross_entropy(result, logits, targets, options, wants_gradient);
  }
  if (options.distillation_weight > 0.0) {
    add_divergence(result, logits, teacher_logits, options, wants_gradient);
  }
  return result;
}

struct Totals {
  at::Tensor cross_entropy, divergence;  // scalars fp64
  at::Tensor hidden_gradient;            // [N, C] fp32, of the sum
  at::Tensor head_gradient;  // [V, C] fp32, of the sum; undefined where nobody asks for it
};

// Which gradients are wanted.
enum class Gradients { kNone, kHidden, kBoth };

Totals run_chunks(const LossInput& input, const LossOptions& options, Gradients gradients) {
  const bool wants_gradient = gradients != Gradients::kNone;
  const at::NoGradGuard no_grad;
  const Autocast plain(input.hidden.device().type(), at::kFloat, /*enabled=*/false);
  const at::ScalarType type = options.product_type;
  const at::Tensor hidden = input.hidden.to(type);
  const model::Head head = {input.head.weight.to(type), input.head.rule};
  const bool distills = options.distillation_weight > 0.0;
  const model::Head teacher_head =
      distills ? model::Head{input.teacher_head.weight.to(type), input.teacher_head.rule}
               : model::Head{};
  Totals totals;
  totals.cross_entropy = at::zeros({}, hidden.options().dtype(at::kDouble));
  totals.divergence = totals.cross_entropy.clone();
  if (wants_gradient) {
    totals.hidden_gradient = at::empty(hidden.sizes(), hidden.options().dtype(at::kFloat));
  }
  if (gradients == Gradients::kBoth) {
    totals.head_gradient = at::zeros(head.weight.sizes(), hidden.options().dtype(at::kFloat));
  }
  for (int64_t begin = 0; begin < hidden.size(0); begin += options.chunk_tokens) {
    const int64_t count = std::min(options.chunk_tokens, hidden.size(0) - begin);
    const at::Tensor rows = hidden.narrow(0, begin, count);
    const at::Tensor teacher_logits =
        distills ? model::head_logits(input.teacher_hidden.narrow(0, begin, count).to(type),
                                      teacher_head)
                 : at::Tensor();
    const at::Tensor logits = model::head_logits(rows, head);
    const ChunkResult chunk = chunk_loss(
        logits, teacher_logits, input.targets.narrow(0, begin, count), options, wants_gradient);
    if (chunk.cross_entropy.defined()) totals.cross_entropy.add_(chunk.cross_entropy);
    if (chunk.divergence.defined()) totals.divergence.add_(chunk.divergence);
    if (!wants_gradient) continue;
    const at::Tensor gradient =
        model::gradient_by_products(chunk.gradient, logits, head.rule).to(type);
    totals.hidden_gradient.narrow(0, begin, count).copy_(at::mm(gradient, head.weight));
    if (gradients != Gradients::kBoth) continue;
    if (type == at::kFloat) {
      totals.head_gradient.addmm_(gradient.t(), rows);
    } else {
      totals.head_gradient.add_(at::mm(gradient.t(), rows));  // fp32 sum over chunks
    }
  }
  return totals;
}

class HeadLoss : public torch::autograd::Function<HeadLoss> {
 public:
  // Outputs: loss, cross-entropy sum, divergence sum; the last two are for the record and carry no
  // gradient.
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden,
                               const at::Tensor& head, const LossInput& rest,
                               const LossOptions& options, double divisor) {
    LossInput input = rest;
    input.hidden = hidden;
    input.head.weight = head;
    Totals totals =
        run_chunks(input, options, head.requires_grad() ? Gradients::kBoth : Gradients::kHidden);
    const double t = options.temperature, alpha = options.distillation_weight;
    const at::Tensor loss =
        (totals.cross_entropy * (1.0 - alpha) + totals.divergence * (alpha * t * t))
            .div_(divisor)
            .to(at::kFloat);
    context->save_for_backward({totals.hidden_gradient, totals.head_gradient});
    context->saved_data["divisor"] = divisor;
    context->mark_non_differentiable({totals.cross_entropy, totals.divergence});
    return {loss, totals.cross_entropy, totals.divergence};
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor scale = upstream.at(0) / context->saved_data["divisor"].toDouble();
    return {saved[0] * scale, saved[1].defined() ? saved[1] * scale : at::Tensor(), {}, {}, {}};
  }
};

void check(const LossInput& input, const LossOptions& options) {
  TORCH_CHECK(input.hidden.dim() == 2 && input.head.weight.dim() == 2 &&
                  input.hidden.size(1) == input.head.weight.size(1),
              "head_loss: hidden ", input.hidden.sizes(), " does not fit the head ",
              input.head.weight.sizes());
  TORCH_CHECK(input.targets.sizes() == at::IntArrayRef({input.hidden.size(0)}),
              "head_loss: ", input.hidden.size(0), " tokens, targets ", input.targets.sizes());
  TORCH_CHECK(options.distillation_weight >= 0 && options.distillation_weight <= 1 &&
                  options.temperature > 0 && options.chunk_tokens > 0,
              "head_loss: distillation weight ", options.distillation_weight, ", temperature ",
              options.temperature, ", chunk ", options.chunk_tokens);
  if (options.distillation_weight == 0) return;
  TORCH_CHECK(input.teacher_hidden.defined() && input.teacher_head.weight.defined(),
              "head_loss: no teacher");
  TORCH_CHECK(input.teacher_hidden.size(0) == input.hidden.size(0) &&
                  input.teacher_head.weight.size(0) == input.head.weight.size(0),
              "head_loss: teacher ", input.teacher_hidden.sizes(), " with head ",
              input.teacher_head.weight.sizes(), ", student ", input.hidden.sizes(), " with head ",
              input.head.weight.sizes());
}

}  // namespace

LossValue head_loss(const LossInput& input, const LossOptions& options, double divisor) {
  check(input, options);
  if (at::GradMode::is_enabled() &&
      (input.hidden.requires_grad() || input.head.weight.requires_grad())) {
    const variable_list out =
        HeadLoss::apply(input.hidden, input.head.weight, input, options, divisor);
    return {out[0], out[1], out[2]};
  }
  const Totals totals = run_chunks(input, options, Gradients::kNone);
  const double t = options.temperature, alpha = options.distillation_weight;
  return {(totals.cross_entropy * (1.0 - alpha) + totals.divergence * (alpha * t * t))
              .div_(divisor)
              .to(at::kFloat),
          totals.cross_entropy, totals.divergence};
}

CountedRows counted_rows(const at::Tensor& ids, const at::Tensor& loss_mask,
                         const at::Tensor& segments) {
  const int64_t last = ids.size(1) - 1;
  const at::Tensor same = segments.narrow(1, 1, last).eq(segments.narrow(1, 0, last));
  const at::Tensor counts = loss_mask.narrow(1, 1, last).ne(0).logical_and_(same).flatten();
  const at::Tensor places = counts.nonzero().flatten();
  return {places, ids.narrow(1, 1, last).flatten().index_select(0, places)};
}

}  // namespace frugal::train
