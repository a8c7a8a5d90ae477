/* All built-in ops, by room. */
#ifndef WENGERT_OPS_H
#define WENGERT_OPS_H
#include "ops/make.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/index.h"
#include "ops/product.h"
#include "ops/network.h"
#endif
