// Says which type llama.cpp gives to each tensor: made tests/core/golden/mixtures.json.
//
// Build against libllama, with llama.cpp's include/, ggml/include/ and src/ (llama-ext.h) as
// include folders. Reads models from stdin, each a line
//   architecture hidden feed_forward layers heads kv_heads experts head_dim file_type tensors
// and a line "name columns rows matrices" for each tensor, in llama-quantize's order; writes
// "name type" for each. test_mixtures.py calls it where the variable QUANT_TYPES names it.
#include <iostream>
#include <string>
#include <vector>

#include "ggml.h"
#include "llama-ext.h"
#include "llama.h"

static void quiet(ggml_log_level, const char *, void *) {}

int main() {
    llama_log_set(quiet, nullptr);
    std::string architecture;
    unsigned hidden, feed_forward, layers, heads, kv_heads, experts, head_dim;
    int file_type, count;
    while (std::cin >> architecture >> hidden >> feed_forward >> layers >> heads >> kv_heads >>
           experts >> head_dim >> file_type >> count) {
        llama_quant_model_desc description{architecture.c_str(), hidden,  feed_forward, layers,
                                           heads,                kv_heads, experts,      head_dim,
                                           head_dim};
        llama_model * model = llama_quant_model_from_metadata(&description);
        auto parameters = llama_model_quantize_default_params();
        parameters.ftype = (llama_ftype) file_type;
        auto * state = llama_quant_init(model, &parameters);
        ggml_context * context = ggml_init({ggml_tensor_overhead() * (count + 1), nullptr, true});
        std::vector<ggml_tensor *> tensors;
        for (int i = 0; i < count; i++) {
            std::string name;
            long columns, rows, matrices;
            std::cin >> name >> columns >> rows >> matrices;
            tensors.push_back(
                ggml_new_tensor_3d(context, GGML_TYPE_F32, columns, rows, matrices));
            ggml_set_name(tensors.back(), name.c_str());
        }
        std::vector<ggml_type> types(count);
        llama_quant_compute_types(state, (llama_ftype) file_type, tensors.data(), types.data(),
                                  count);
        for (int i = 0; i < count; i++) {
            std::cout << tensors[i]->name << " " << ggml_type_name(types[i]) << "\n";
        }
        llama_quant_free(state);
        llama_model_free(model);
        ggml_free(context);
    }
}
