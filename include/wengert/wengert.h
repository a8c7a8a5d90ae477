/* Wengert: tensors with reverse-mode automatic differentiation over a graph built as the program runs. */
#ifndef WENGERT_H
#define WENGERT_H
#include "base.h"
#include "error.h"
#include "scope.h"
#include "tensor.h"
#include "op.h"
#include "ops.h"
#include "autograd.h"
#include "graph.h"
#include "profile.h"
#include "module.h"
#include "nn.h"
#include "lora.h"
#include "evaluate.h"
#include "generate.h"
#include "optim.h"
#include "data.h"
#include "gguf.h"
#include "io.h"
#include "model.h"
#include "text.h"
#endif
