// For each site, whose inputs follow on a line (channel and value for each slot), what the exported header makes of them, and the
// products of ciphertexts.
#include <iostream>

#include "activations.h"

int main() {
    std::cout.precision(17);
    for (const auto& site : activation::SITES) {
        size_t count;
        std::cin >> count;
        std::vector<double> values(count);
        std::vector<int> channels(count);
        for (size_t i = 0; i < count; i++)
            std::cin >> channels[i] >> values[i];
        auto context = std::make_shared<lbcrypto::Context>();
        auto x = context->Of(values);
        auto y = site.kind == "maxpool" ? activation::Max(x, context->Of(std::vector<double>(count)), site)
                                        : activation::Evaluate(x, site, channels);
        std::cout << context->products;
        for (double slot : y->slots)
            std::cout << ' ' << slot;
        std::cout << '\n';
    }
}
