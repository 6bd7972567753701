// Node addon over FAISS: one class, `FaissIndex`, whose work runs on libuv's thread pool. Inner product over vectors that the caller has
// normalised, so scores are cosines. Flat is exact and is `IDMap2,Flat`; IVF is trained and approximate, for large collections.
#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/index_io.h>
#include <napi.h>
#include <omp.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_set>
#include <vector>

namespace {

using Ids = std::vector<faiss::Index::idx_t>;

struct Hits {
  Ids ids;
  std::vector<float> scores;
};

/// Runs `work` on the pool and settles a promise with what `finish` makes of it.
class Job : public Napi::AsyncWorker {
 public:
  static Napi::Promise start(Napi::Env env, Napi::Object owner, std::function<void()> work,
                             std::function<Napi::Value(Napi::Env)> finish) {
    auto* job = new Job(env, owner, std::move(work), std::move(finish));
    auto promise = job->deferred_.Promise();
    job->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    try {
      omp_set_num_threads(1);
      work_();
    } catch (const std::exception& error) {
      SetError(error.what());
    }
  }
  void OnOK() override { deferred_.Resolve(finish_(Env())); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Job(Napi::Env env, Napi::Object owner, std::function<void()> work, std::function<Napi::Value(Napi::Env)> finish)
      : Napi::AsyncWorker(env), deferred_(env), owner_(Napi::Persistent(owner)), work_(std::move(work)), finish_(std::move(finish)) {}

  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference owner_;  // keeps the index alive while its job runs
  std::function<void()> work_;
  std::function<Napi::Value(Napi::Env)> finish_;
};

std::vector<float> floats(const Napi::Value& value) {
  auto array = value.As<Napi::Float32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

Ids ids(const Napi::Value& value) {
  auto array = value.As<Napi::BigInt64Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

class FaissIndex : public Napi::ObjectWrap<FaissIndex> {
 public:
  static void define(Napi::Env env, Napi::Object exports) {
    exports.Set("FaissIndex",
                DefineClass(env, "FaissIndex",
                            {InstanceMethod<&FaissIndex::train>("train"), InstanceMethod<&FaissIndex::add>("add"),
                             InstanceMethod<&FaissIndex::remove>("remove"), InstanceMethod<&FaissIndex::search>("search"),
                             InstanceMethod<&FaissIndex::invert>("invert"),
                             InstanceMethod<&FaissIndex::save>("save"), InstanceMethod<&FaissIndex::load>("load"),
                             InstanceAccessor<&FaissIndex::size>("size")}));
  }

  /// new FaissIndex(dimension, lists): lists 0 is exact, more is IVF with so many lists.
  explicit FaissIndex(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FaissIndex>(info) {
    dimension_ = info[0].As<Napi::Number>().Int32Value();
    const int lists = info[1].As<Napi::Number>().Int32Value();
    if (dimension_ <= 0) throw Napi::RangeError::New(info.Env(), "the dimension must be positive");
    if (lists == 0) {
      auto* map = new faiss::IndexIDMap2(new faiss::IndexFlatIP(dimension_));
      map->own_fields = true;
      index_.reset(map);
    } else {
      auto* inverted = new faiss::IndexIVFFlat(new faiss::IndexFlatIP(dimension_), dimension_, lists, faiss::METRIC_INNER_PRODUCT);
      inverted->own_fields = true;
      index_.reset(inverted);
    }
  }

 private:
  Napi::Value train(const Napi::CallbackInfo& info) {
    auto vectors = std::make_shared<std::vector<float>>(floats(info[0]));
    return job(info, [this, vectors] {
      std::unique_lock lock(mutex_);
      index_->train(vectors->size() / dimension_, vectors->data());
    });
  }

  /// add(ids, vectors): an id that is there already gets its new vector.
  Napi::Value add(const Napi::CallbackInfo& info) {
    auto added = std::make_shared<Ids>(ids(info[0]));
    auto vectors = std::make_shared<std::vector<float>>(floats(info[1]));
    if (vectors->size() != added->size() * static_cast<size_t>(dimension_)) {
      throw Napi::RangeError::New(info.Env(), "vectors of another dimension than the index");
    }
    return job(info, [this, added, vectors] {
      std::unique_lock lock(mutex_);
      Ids known;
      for (auto id : *added) {
        if (!present_.insert(id).second) known.push_back(id);
      }
      if (!known.empty()) index_->remove_ids(faiss::IDSelectorBatch(known.size(), known.data()));
      index_->add_with_ids(added->size(), vectors->data(), added->data());
    });
  }

  Napi::Value remove(const Napi::CallbackInfo& info) {
    auto removed = std::make_shared<Ids>(ids(info[0]));
    auto count = std::make_shared<size_t>(0);
    return job(
        info,
        [this, removed, count] {
          std::unique_lock lock(mutex_);
          Ids known;
          for (auto id : *removed) {
            if (present_.erase(id) > 0) known.push_back(id);
          }
          if (!known.empty()) *count = index_->remove_ids(faiss::IDSelectorBatch(known.size(), known.data()));
        },
        [count](Napi::Env env) { return Napi::Number::New(env, static_cast<double>(*count)); });
  }

  /// search(query, k, allowed | undefined, probes): {ids: BigInt64Array, scores: Float32Array}, best first.
  Napi::Value search(const Napi::CallbackInfo& info) {
    auto query = std::make_shared<std::vector<float>>(floats(info[0]));
    if (query->size() != static_cast<size_t>(dimension_)) {
      throw Napi::RangeError::New(info.Env(), "a query of another dimension than the index");
    }
    const auto k = info[1].As<Napi::Number>().Int64Value();
    std::shared_ptr<Ids> allowed = info[2].IsUndefined() ? nullptr : std::make_shared<Ids>(ids(info[2]));
    const auto probes = info[3].As<Napi::Number>().Int64Value();
    auto hits = std::make_shared<Hits>();
    return job(
        info, [this, query, k, allowed, probes, hits] { find(*query, k, allowed.get(), probes, *hits); },
        [hits](Napi::Env env) {
          auto result = Napi::Object::New(env);
          auto found = Napi::BigInt64Array::New(env, hits->ids.size());
          auto scores = Napi::Float32Array::New(env, hits->scores.size());
          std::copy(hits->ids.begin(), hits->ids.end(), found.Data());
          std::copy(hits->scores.begin(), hits->scores.end(), scores.Data());
          result.Set("ids", found);
          result.Set("scores", scores);
          return result;
        });
  }

  void find(const std::vector<float>& query, faiss::Index::idx_t k, const Ids* allowed, size_t probes, Hits& hits) {
    std::shared_lock lock(mutex_);
    k = std::min<faiss::Index::idx_t>(k, index_->ntotal);
    if (k <= 0) return;
    Ids found(k, -1);
    std::vector<float> scores(k);
    if (auto* map = dynamic_cast<faiss::IndexIDMap2*>(index_.get())) {
      // The map takes no selector in this release, so the flat index below it is asked by position.
      faiss::SearchParameters parameters;
      Ids positions;
      if (allowed != nullptr) {
        for (auto id : *allowed) {
          if (auto at = map->rev_map.find(id); at != map->rev_map.end()) positions.push_back(at->second);
        }
      }
      faiss::IDSelectorBatch selector(positions.size(), positions.data());
      if (allowed != nullptr) parameters.sel = &selector;
      map->index->search(1, query.data(), k, scores.data(), found.data(), &parameters);
      for (auto& id : found) id = id < 0 ? id : map->id_map[id];
    } else {
      faiss::SearchParametersIVF parameters;
      parameters.nprobe = probes;
      faiss::IDSelectorBatch selector(allowed == nullptr ? 0 : allowed->size(), allowed == nullptr ? nullptr : allowed->data());
      if (allowed != nullptr) parameters.sel = &selector;
      index_->search(1, query.data(), k, scores.data(), found.data(), &parameters);
    }
    for (faiss::Index::idx_t at = 0; at < k && found[at] >= 0; at++) {
      hits.ids.push_back(found[at]);
      hits.scores.push_back(scores[at]);
    }
  }

  /// invert(lists, recall): number of probes. Turns an exact index into IVF over the same vectors, and finds how many lists a search must look into to reach
  /// the recall at 10 against the exact one on 64 blends of its own vectors. Searches go on meanwhile; the caller holds changes back.
  Napi::Value invert(const Napi::CallbackInfo& info) {
    const int lists = info[0].As<Napi::Number>().Int32Value();
    const double wanted = info[1].As<Napi::Number>().DoubleValue();
    auto probes = std::make_shared<size_t>(1);
    return job(
        info, [this, lists, wanted, probes] { *probes = becomeInverted(lists, wanted); },
        [probes](Napi::Env env) { return Napi::Number::New(env, static_cast<double>(*probes)); });
  }

  size_t becomeInverted(int lists, double wanted) {
    auto* map = dynamic_cast<faiss::IndexIDMap2*>(index_.get());
    auto* flat = map == nullptr ? nullptr : dynamic_cast<faiss::IndexFlat*>(map->index);
    if (flat == nullptr) throw std::runtime_error("only an exact index can be inverted");
    const auto count = flat->ntotal;
    const float* vectors = flat->get_xb();
    auto inverted = std::make_unique<faiss::IndexIVFFlat>(new faiss::IndexFlatIP(dimension_), dimension_, lists, faiss::METRIC_INNER_PRODUCT);
    inverted->own_fields = true;
    inverted->cp.niter = 8;
    inverted->cp.min_points_per_centroid = 1;
    // An even sample: 32 vectors a list place the centres well enough.
    const faiss::Index::idx_t sampled = std::min<faiss::Index::idx_t>(count, 32LL * lists);
    std::vector<float> sample(sampled * dimension_);
    for (faiss::Index::idx_t at = 0; at < sampled; at++) {
      std::copy_n(vectors + at * count / sampled * dimension_, dimension_, sample.data() + at * dimension_);
    }
    inverted->train(sampled, sample.data());
    inverted->add_with_ids(count, vectors, map->id_map.data());

    constexpr int queries = 64;
    constexpr int k = 10;
    std::vector<float> blends(queries * dimension_);
    for (int query = 0; query < queries; query++) {
      const float* one = vectors + (query * 7919LL + 13) % count * dimension_;
      const float* other = vectors + (query * 104729LL + 37) % count * dimension_;
      for (int at = 0; at < dimension_; at++) blends[query * dimension_ + at] = one[at] + 0.5f * other[at];
    }
    std::vector<float> scores(queries * k);
    Ids exact(queries * k), found(queries * k);
    flat->search(queries, blends.data(), k, scores.data(), exact.data());
    for (auto& id : exact) id = id < 0 ? id : map->id_map[id];
    size_t probes = 1;
    for (; probes < static_cast<size_t>(lists); probes = std::min<size_t>(lists, probes * 3 / 2 + 1)) {
      faiss::SearchParametersIVF parameters;
      parameters.nprobe = probes;
      inverted->search(queries, blends.data(), k, scores.data(), found.data(), &parameters);
      int same = 0;
      for (int query = 0; query < queries; query++) {
        for (int at = 0; at < k; at++) {
          same += std::count(found.begin() + query * k, found.begin() + (query + 1) * k, exact[query * k + at]) > 0;
        }
      }
      if (same >= wanted * queries * k) break;
    }
    std::unique_lock lock(mutex_);
    index_ = std::move(inverted);
    return probes;
  }

  Napi::Value save(const Napi::CallbackInfo& info) {
    auto path = info[0].As<Napi::String>().Utf8Value();
    return job(info, [this, path] {
      std::shared_lock lock(mutex_);
      faiss::write_index(index_.get(), path.c_str());
    });
  }

  /// load(path): replaces the content; rejects, leaving it as it was, when the file is damaged or of another dimension.
  Napi::Value load(const Napi::CallbackInfo& info) {
    auto path = info[0].As<Napi::String>().Utf8Value();
    return job(info, [this, path] {
      std::unique_ptr<faiss::Index> loaded(faiss::read_index(path.c_str()));
      if (loaded->d != dimension_) throw std::runtime_error("the saved index has another dimension");
      std::unordered_set<faiss::Index::idx_t> present;
      if (auto* map = dynamic_cast<faiss::IndexIDMap2*>(loaded.get())) {
        present.insert(map->id_map.begin(), map->id_map.end());
      } else if (auto* inverted = dynamic_cast<faiss::IndexIVF*>(loaded.get())) {
        for (size_t list = 0; list < inverted->nlist; list++) {
          const auto* listed = inverted->invlists->get_ids(list);
          present.insert(listed, listed + inverted->invlists->list_size(list));
        }
      } else {
        throw std::runtime_error("the saved index is of a kind that is not used here");
      }
      std::unique_lock lock(mutex_);
      index_ = std::move(loaded);
      present_ = std::move(present);
    });
  }

  Napi::Value size(const Napi::CallbackInfo& info) {
    std::shared_lock lock(mutex_);
    return Napi::Number::New(info.Env(), static_cast<double>(index_->ntotal));
  }

  Napi::Promise job(const Napi::CallbackInfo& info, std::function<void()> work,
                    std::function<Napi::Value(Napi::Env)> finish = [](Napi::Env env) { return env.Undefined(); }) {
    return Job::start(info.Env(), info.This().As<Napi::Object>(), std::move(work), std::move(finish));
  }

  int dimension_ = 0;
  std::shared_mutex mutex_;
  std::unique_ptr<faiss::Index> index_;
  std::unordered_set<faiss::Index::idx_t> present_;
};

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  FaissIndex::define(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(faiss, initialise)
